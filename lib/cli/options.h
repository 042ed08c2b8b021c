// A table of options: parsed, and printed as --help, from the same lines. Knows no tool.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"

namespace tfs::cli {

struct Option {
  std::string_view name;      // "--force"
  char letter = 0;            // 'f' for "-f", or 0
  std::string_view argument;  // "BYTES", or "" where it takes none
  std::string_view help;      // one line; "" hides the option from --help
  std::function<Status(std::string_view)> set;
};

struct Usage {
  std::string_view synopsis;  // "tfs_mirror [options] DIR", a line each; "" in front of the next
  std::string_view summary;   // what it does, in a sentence or two, lines of at most 78 columns
  std::vector<Option> options;
  size_t min_operands = 0, max_operands = 0;
  bool takes_command = false;  // what follows "--" is a command
};

struct Parsed {
  std::vector<std::string> operands;
  std::vector<std::string> command;  // behind "--", with takes_command
  bool is_done = false;              // --help or --version was printed: exit with 0
};

// Options may stand anywhere before "--". "--name=value", "--name value", "-n value", "-nvalue".
// --help, -h, --version and -V are understood without a line in the table. kUsage for what is wrong.
Result<Parsed> parse(int argc, char** argv, const Usage& usage);

// For Option::set.
std::function<Status(std::string_view)> set_flag(bool& target, bool value = true);
std::function<Status(std::string_view)> set_text(std::string& target);
// Digits, with K, M, G or T for powers of 1024.
std::function<Status(std::string_view)> set_bytes(uint64_t& target);
std::function<Status(std::string_view)> set_count(uint64_t& target, uint64_t least, uint64_t most);

Result<uint64_t> parse_bytes(std::string_view text);
Result<uint64_t> parse_count(std::string_view text);
// "250ms", "10s", "5m", "2h", "1d"; a number alone is seconds. In milliseconds.
Result<uint64_t> parse_duration_ms(std::string_view text);

}  // namespace tfs::cli
