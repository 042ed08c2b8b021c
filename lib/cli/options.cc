#include "lib/cli/options.h"

#include <charconv>
#include <cstdio>
#include <span>

#include "lib/base/escape.h"
#include "lib/sys/message.h"

namespace tfs::cli {
namespace {

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);  // standard output is right here: this is help, and no stream follows
}

std::string help_text(const Usage& usage) {
  std::string out = "usage: " + std::string(usage.synopsis) + "\n\n" + std::string(usage.summary) + "\n\n";
  auto line = [&out](std::string left, std::string_view help) {
    if (left.size() < 27) left.resize(27, ' ');
    else left += "\n" + std::string(27, ' ');
    out += left + std::string(help) + "\n";
  };
  for (const Option& o : usage.options) {
    if (o.help.empty()) continue;
    std::string left = o.letter ? std::string("  -") + o.letter + ", " : std::string("      ");
    left += o.name;
    if (!o.argument.empty()) left += " " + std::string(o.argument);
    line(left + " ", o.help);
  }
  line("  -h, --help ", "print this and exit");
  line("  -V, --version ", "print the version and exit");
  return out +
         "\nExit status: 0 clean end, 1 failed, 2 wrong usage, 3 the stream does not fit\n"
         "(a scan is needed), 4 the stream broke off (resume). See tfs(7).\n";
}

const Option* find(const Usage& usage, std::string_view name) {
  for (const Option& o : usage.options) {
    if (o.name == name) return &o;
  }
  return nullptr;
}

const Option* find(const Usage& usage, char letter) {
  for (const Option& o : usage.options) {
    if (o.letter == letter) return &o;
  }
  return nullptr;
}

// Walks the words of a command line.
class Parser {
 public:
  Parser(int argc, char** argv, const Usage& usage) : words_(argv + 1, argv + argc), usage_(usage) {}

  Result<Parsed> run() {
    for (; at_ < words_.size() && !parsed_.is_done; at_++) {
      std::string_view word = words_[at_];
      if (word == "--") {
        rest();
        break;
      }
      if (word.starts_with("--")) {
        TFS_TRY(long_option(word));
      } else if (word.size() > 1 && word[0] == '-') {
        TFS_TRY(short_options(word.substr(1)));
      } else {
        parsed_.operands.emplace_back(word);
      }
    }
    if (parsed_.is_done) return std::move(parsed_);
    if (parsed_.operands.size() < usage_.min_operands) return usage_error("too few arguments (see --help)");
    if (parsed_.operands.size() > usage_.max_operands) {
      return usage_error("unexpected argument " + escape(parsed_.operands[usage_.max_operands]) + " (see --help)");
    }
    return std::move(parsed_);
  }

 private:
  void rest() {
    auto& into = usage_.takes_command ? parsed_.command : parsed_.operands;
    into.insert(into.end(), words_.begin() + static_cast<ptrdiff_t>(at_) + 1, words_.end());
  }

  Status long_option(std::string_view word) {
    size_t equals = word.find('=');
    std::string_view name = word.substr(0, equals);
    if (name == "--help" || name == "--version") {
      name == "--help" ? print(help_text(usage_)) : print(std::string(sys::program_name()) + " " TFS_VERSION "\n");
      parsed_.is_done = true;
      return {};
    }
    const Option* option = find(usage_, name);
    if (option == nullptr) return usage_error("unknown option " + escape(name) + " (see --help)");
    if (option->argument.empty()) {
      if (equals != word.npos) return usage_error(escape(name) + " takes no argument");
      return apply(*option, "");
    }
    if (equals != word.npos) return apply(*option, word.substr(equals + 1));
    return apply_next(*option);
  }

  Status short_options(std::string_view letters) {
    for (; !letters.empty(); letters.remove_prefix(1)) {
      if (letters[0] == 'h') return long_option("--help");
      const Option* option = find(usage_, letters[0]);
      if (option == nullptr && letters[0] == 'V') return long_option("--version");
      if (option == nullptr) return usage_error("unknown option -" + escape(letters.substr(0, 1)) + " (see --help)");
      if (!option->argument.empty()) {
        return letters.size() > 1 ? apply(*option, letters.substr(1)) : apply_next(*option);
      }
      TFS_TRY(apply(*option, ""));
    }
    return {};
  }

  Status apply_next(const Option& option) {
    if (at_ + 1 == words_.size()) return usage_error(std::string(option.name) + " needs an argument");
    return apply(option, words_[++at_]);
  }

  static Status apply(const Option& option, std::string_view value) {
    Status status = option.set(value);
    if (status) return status;
    return usage_error(std::string(option.name) + ": " + status.error().message());
  }

  std::vector<std::string_view> words_;
  const Usage& usage_;
  size_t at_ = 0;
  Parsed parsed_;
};

Result<uint64_t> parse_digits(std::string_view text, std::string_view& rest) {
  uint64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc()) return usage_error("not a number: " + escape(text));
  rest = text.substr(static_cast<size_t>(end - text.data()));
  return value;
}

struct Unit {
  std::string_view name;
  uint64_t factor;
};

Result<uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  std::string_view rest;
  uint64_t value = TFS_TRY(parse_digits(text, rest));
  for (const Unit& u : units) {
    if (rest != u.name) continue;
    uint64_t scaled = 0;
    if (__builtin_mul_overflow(value, u.factor, &scaled)) break;
    return scaled;
  }
  return usage_error("not understood: " + escape(text));
}

}  // namespace

Result<Parsed> parse(int argc, char** argv, const Usage& usage) { return Parser(argc, argv, usage).run(); }

std::function<Status(std::string_view)> set_flag(bool& target, bool value) {
  return [&target, value](std::string_view) -> Status {
    target = value;
    return {};
  };
}

std::function<Status(std::string_view)> set_text(std::string& target) {
  return [&target](std::string_view text) -> Status {
    target = text;
    return {};
  };
}

std::function<Status(std::string_view)> set_bytes(uint64_t& target) {
  return [&target](std::string_view text) -> Status {
    target = TFS_TRY(parse_bytes(text));
    return {};
  };
}

std::function<Status(std::string_view)> set_count(uint64_t& target, uint64_t least, uint64_t most) {
  return [&target, least, most](std::string_view text) -> Status {
    uint64_t value = TFS_TRY(parse_count(text));
    if (value < least || value > most) {
      return usage_error(std::to_string(least) + " to " + std::to_string(most) + " are possible");
    }
    target = value;
    return {};
  };
}

Result<uint64_t> parse_bytes(std::string_view text) {
  constexpr Unit units[] = {{"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {"T", 1ull << 40}};
  return parse_with_unit(text, units);
}

Result<uint64_t> parse_count(std::string_view text) {
  constexpr Unit units[] = {{"", 1}};
  return parse_with_unit(text, units);
}

Result<uint64_t> parse_duration_ms(std::string_view text) {
  constexpr Unit units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  return parse_with_unit(text, units);
}

}  // namespace tfs::cli
