// All that is read from a command line: the words of the input, with a zero byte between them.
#include <cstdio>

#include "lib/base/escape.h"
#include "lib/cli/options.h"
#include "lib/format/position.h"
#include "lib/format/rel_path.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace tfs;

void check_usage(const Error& error) {
  TFS_CHECK(error.kind == Kind::kUsage);
  for (char c : error.message()) TFS_CHECK(c >= 0x20 && c < 0x7f);
}

void check_word(const std::string& word) {
  Result<uint64_t> count = cli::parse_count(word), bytes = cli::parse_bytes(word), duration = cli::parse_duration_ms(word);
  if (count) TFS_CHECK(bytes.ok() && *bytes == *count && cli::parse_count(std::to_string(*count)).value() == *count);
  for (const auto& number : {count, bytes, duration}) {
    if (!number.ok()) check_usage(number.error());
  }

  Result<format::Position> position = format::parse_position(word);
  if (position) TFS_CHECK(format::parse_position(to_text(*position)).value() == *position);
  else check_usage(position.error());

  TFS_CHECK(unescape(escape(word)).value() == word);
  Result<std::string> unescaped = unescape(word);
  if (unescaped) TFS_CHECK(escape(*unescaped) == word);
  else check_usage(unescaped.error());

  if (!format::is_rel_path(word) || word == ".") return;
  TFS_CHECK(("/" + word + "/").find("/../") == word.npos);
  std::string_view parent = format::parent_of(word), name = format::name_of(std::string_view(word));
  TFS_CHECK(format::is_name(name) && format::is_rel_path(parent));
  TFS_CHECK(parent == "." ? name == word : std::string(parent) + "/" + std::string(name) == word);
}

void check_parse(const std::vector<std::string>& words, bool takes_command) {
  bool flag = false;
  std::string text;
  uint64_t size = 0, count = 5;
  cli::Usage usage{.synopsis = "tool",
                   .summary = "Does it.",
                   .options =
                       {
                           {"--flag", 'f', "", "a flag", cli::set_flag(flag)},
                           {"--text", 't', "TEXT", "a text", cli::set_text(text)},
                           {"--size", 's', "BYTES", "a size", cli::set_bytes(size)},
                           {"--count", 'c', "N", "a count", cli::set_count(count, 1, 9)},
                       },
                   .min_operands = 1,
                   .max_operands = 3,
                   .takes_command = takes_command};
  std::vector<std::string> copies{"tool"};
  copies.insert(copies.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  Result<cli::Parsed> parsed = cli::parse(static_cast<int>(copies.size()), argv.data(), usage);
  TFS_CHECK(count >= 1 && count <= 9);
  if (!parsed) return check_usage(parsed.error());
  if (parsed->is_done) return;
  TFS_CHECK(parsed->operands.size() >= 1 && parsed->operands.size() <= 3);
  TFS_CHECK(takes_command || parsed->command.empty());
  TFS_CHECK(parsed->operands.size() + parsed->command.size() <= words.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool is_quiet = std::freopen("/dev/null", "w", stdout) != nullptr;  // --help prints
  TFS_CHECK(is_quiet);
  std::vector<std::string> words{""};
  for (size_t i = 0; i < size; i++) {
    if (data[i] == 0) words.emplace_back();
    else words.back() += static_cast<char>(data[i]);
  }
  for (const std::string& word : words) check_word(word);
  check_parse(words, false);
  check_parse(words, true);
  return 0;
}
