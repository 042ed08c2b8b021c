#include "lib/cli/options.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>

#include "lib/sys/message.h"

using namespace tfs;
using namespace tfs::cli;

namespace {

using Words = std::vector<std::string>;

// A tool with an option of each kind.
struct Tool {
  bool force = false, is_quiet = true;
  std::string name;
  uint64_t bytes = 0, count = 0;
  bool takes_command = false;
  size_t min_operands = 0, max_operands = 2;

  Result<Parsed> run(const Words& words) {
    Words copy = words;
    std::vector<char*> argv = {program.data()};
    for (std::string& word : copy) argv.push_back(word.data());
    argv.push_back(nullptr);
    Usage usage{.synopsis = "tool [options] A B",
                .summary = "Does it.",
                .options =
                    {
                        {"--force", 'f', "", "do it", set_flag(force)},
                        {"--loud", 0, "", "say it", set_flag(is_quiet, false)},
                        {"--name", 'n', "NAME", "call it", set_text(name)},
                        {"--bytes", 'b', "BYTES", "take so many", set_bytes(bytes)},
                        {"--an-option-with-a-long-name", 0, "COUNT", "1 to 9", set_count(count, 1, 9)},
                        {"--hidden", 0, "", "", set_flag(force)},
                    },
                .min_operands = min_operands,
                .max_operands = max_operands,
                .takes_command = takes_command};
    return parse(static_cast<int>(argv.size()) - 1, argv.data(), usage);
  }

  std::string refusal(const Words& words) {
    Result<Parsed> parsed = run(words);
    REQUIRE(!parsed.ok());
    CHECK(parsed.error().kind == Kind::kUsage);
    return parsed.error().message();
  }

  Words operands(const Words& words) {
    Result<Parsed> parsed = run(words);
    REQUIRE(parsed.ok());
    return parsed->operands;
  }

  std::string program = "tool";
};

// What is printed to standard output while it lives.
class Captured {
 public:
  Captured() : file_(std::tmpfile()), kept_(dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    dup2(fileno(file_), STDOUT_FILENO);
  }
  std::string text() {
    std::fflush(stdout);
    dup2(kept_, STDOUT_FILENO);
    close(kept_);
    std::string out(static_cast<size_t>(std::ftell(file_) + lseek(fileno(file_), 0, SEEK_END)), '\0');
    ssize_t n = pread(fileno(file_), out.data(), out.size(), 0);
    out.resize(static_cast<size_t>(n));
    std::fclose(file_);
    return out;
  }

 private:
  std::FILE* file_;
  int kept_;
};

}  // namespace

TEST_CASE("without words nothing is set") {
  Tool tool;
  CHECK(tool.operands({}).empty());
  CHECK(!tool.force);
  CHECK(tool.is_quiet);
}

TEST_CASE("an argument follows its option in each of the usual ways") {
  for (const Words& words :
       {Words{"--name=x"}, Words{"--name", "x"}, Words{"-n", "x"}, Words{"-nx"}, Words{"-fnx"}, Words{"-fn", "x"}}) {
    Tool tool;
    CHECK(tool.operands(words).empty());
    CHECK(tool.name == "x");
    CHECK(tool.force == (words[0][1] == 'f'));
  }
}

TEST_CASE("an argument may be empty, or look like an option") {
  Tool tool;
  tool.name = "before";
  CHECK(tool.operands({"--name="}).empty());
  CHECK(tool.name == "");
  CHECK(tool.operands({"--name", "--force"}).empty());
  CHECK(tool.name == "--force");
  CHECK(!tool.force);
  CHECK(tool.operands({"-n", "--"}).empty());
  CHECK(tool.name == "--");
  CHECK(tool.operands({"--name=a=b"}).empty());
  CHECK(tool.name == "a=b");
}

TEST_CASE("of an option that comes twice the last one counts") {
  Tool tool;
  CHECK(tool.operands({"--name", "a", "-n", "b"}).empty());
  CHECK(tool.name == "b");
}

TEST_CASE("flags set what they are there for") {
  Tool tool;
  CHECK(tool.operands({"-f", "--loud"}).empty());
  CHECK(tool.force);
  CHECK(!tool.is_quiet);
}

TEST_CASE("options may stand anywhere among the operands") {
  Tool tool;
  CHECK(tool.operands({"a", "-f", "b", "--name", "c"}) == Words{"a", "b"});
  CHECK(tool.force);
  CHECK(tool.name == "c");
}

TEST_CASE("a minus alone is an operand") {
  Tool tool;
  CHECK(tool.operands({"-", "-f"}) == Words{"-"});
}

TEST_CASE("behind two minuses all words are operands, with those before them") {
  Tool tool;
  CHECK(tool.operands({"--", "-f", "--name"}) == Words{"-f", "--name"});
  CHECK(tool.operands({"a", "--", "-f"}) == Words{"a", "-f"});
  CHECK(tool.operands({"a", "--", "--"}) == Words{"a", "--"});
  CHECK(tool.operands({"a", "--"}) == Words{"a"});
  CHECK(!tool.force);
}

TEST_CASE("behind two minuses there may be a command") {
  Tool tool;
  tool.takes_command = true;
  Result<Parsed> parsed = tool.run({"a", "-f", "--", "ssh", "-f", "--", "x"});
  REQUIRE(parsed.ok());
  CHECK(parsed->operands == Words{"a"});
  CHECK(parsed->command == Words{"ssh", "-f", "--", "x"});
}

TEST_CASE("the number of operands is checked") {
  Tool tool;
  tool.min_operands = 1;
  CHECK(tool.refusal({}) == "too few arguments (see --help)");
  CHECK(tool.refusal({"-f"}) == "too few arguments (see --help)");
  CHECK(tool.operands({"a", "b"}).size() == 2);
  CHECK(tool.refusal({"a", "b", "c\n"}) == "unexpected argument c\\x0a (see --help)");
  CHECK(tool.refusal({"a", "--", "b", "c"}) == "unexpected argument c (see --help)");
}

TEST_CASE("what is no option is refused") {
  Tool tool;
  CHECK(tool.refusal({"--nothing"}) == "unknown option --nothing (see --help)");
  CHECK(tool.refusal({"--nothing=x"}) == "unknown option --nothing (see --help)");
  CHECK(tool.refusal({"--nam", "x"}) == "unknown option --nam (see --help)");
  CHECK(tool.refusal({"-x"}) == "unknown option -x (see --help)");
  CHECK(tool.refusal({"-f\xff"}) == "unknown option -\\xff (see --help)");
  CHECK(tool.refusal({"---"}) == "unknown option --- (see --help)");
}

TEST_CASE("an argument too few or too many is refused") {
  Tool tool;
  CHECK(tool.refusal({"--name"}) == "--name needs an argument");
  CHECK(tool.refusal({"-n"}) == "--name needs an argument");
  CHECK(tool.refusal({"-fn"}) == "--name needs an argument");
  CHECK(tool.refusal({"--force=yes"}) == "--force takes no argument");
  CHECK(tool.refusal({"--force="}) == "--force takes no argument");
}

TEST_CASE("a wrong value names its option") {
  Tool tool;
  CHECK(tool.refusal({"-b", "x"}) == "--bytes: not a number: x");
  CHECK(tool.refusal({"--an-option-with-a-long-name=0"}) == "--an-option-with-a-long-name: 1 to 9 are possible");
  CHECK(tool.refusal({"--an-option-with-a-long-name=10"}) == "--an-option-with-a-long-name: 1 to 9 are possible");
  CHECK(tool.operands({"--an-option-with-a-long-name=9"}).empty());
  CHECK(tool.count == 9);
}

TEST_CASE("help goes to standard output, in at most 80 columns") {
  for (const Words& words : {Words{"--help"}, Words{"-h"}, Words{"-fh"}, Words{"a", "b", "--help", "too", "many", "--wrong"}}) {
    Tool tool;
    Captured captured;
    Result<Parsed> parsed = tool.run(words);
    std::string text = captured.text();
    REQUIRE(parsed.ok());
    CHECK(parsed->is_done);
    CHECK(text.starts_with("usage: tool [options] A B\n\nDoes it.\n\n  -f, --force              do it\n"));
    CHECK(text.find("\n      --loud               say it\n") != text.npos);
    CHECK(text.find("\n      --an-option-with-a-long-name COUNT \n                           1 to 9\n") != text.npos);
    CHECK(text.find("hidden") == text.npos);
    CHECK(text.find("\n  -h, --help ") != text.npos);
    for (size_t start = 0, end = 0; (end = text.find('\n', start)) != text.npos; start = end + 1) CHECK(end - start <= 80);
  }
}

TEST_CASE("the version goes to standard output") {
  for (const Words& words : {Words{"--version"}, Words{"-V"}}) {
    Tool tool;
    Captured captured;
    Result<Parsed> parsed = tool.run(words);
    std::string text = captured.text();
    REQUIRE(parsed.ok());
    CHECK(parsed->is_done);
    CHECK(text == std::string(sys::program_name()) + " " TFS_VERSION "\n");
  }
}

TEST_CASE("bytes are digits and a power of 1024") {
  CHECK(parse_bytes("0").value() == 0);
  CHECK(parse_bytes("17").value() == 17);
  CHECK(parse_bytes("1K").value() == 1024);
  CHECK(parse_bytes("3M").value() == 3 * 1024 * 1024);
  CHECK(parse_bytes("2G").value() == uint64_t{2} << 30);
  CHECK(parse_bytes("1T").value() == uint64_t{1} << 40);
  CHECK(parse_bytes("18446744073709551615").value() == UINT64_MAX);
  CHECK(parse_bytes("16777215T").value() == uint64_t{16777215} << 40);
  for (const char* text : {"", "K", "1k", "1KB", "1 K", " 1", "-1", "+1", "1.5K", "0x10", "16777216T", "18446744073709551616"}) {
    CAPTURE(text);
    CHECK(!parse_bytes(text).ok());
  }
}

TEST_CASE("a count is digits alone") {
  CHECK(parse_count("007").value() == 7);
  for (const char* text : {"", "1K", "-1", "1 ", "1e3"}) CHECK(!parse_count(text).ok());
}

TEST_CASE("a duration is digits and a unit, seconds without one") {
  CHECK(parse_duration_ms("0").value() == 0);
  CHECK(parse_duration_ms("10").value() == 10'000);
  CHECK(parse_duration_ms("250ms").value() == 250);
  CHECK(parse_duration_ms("10s").value() == 10'000);
  CHECK(parse_duration_ms("5m").value() == 300'000);
  CHECK(parse_duration_ms("2h").value() == 7'200'000);
  CHECK(parse_duration_ms("1d").value() == 86'400'000);
  for (const char* text : {"", "ms", "1.5s", "-1s", "1 s", "1S", "1w", "18446744073709551615d"})
    CHECK(!parse_duration_ms(text).ok());
}
