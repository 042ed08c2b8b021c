#include "lib/sys/message.h"

#include <unistd.h>

#include <string>

namespace tfs::sys {
namespace {

std::string& name_storage() {
  static std::string name = "tfs";
  return name;
}

void put(std::string line) {
  line += '\n';
  // A lost message has nobody to be told to.
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void set_program_name(std::string_view name) { name_storage() = name; }
std::string_view program_name() { return name_storage(); }

void say(std::string_view text) { put(std::string(program_name()) + ": " + std::string(text)); }
void warn(std::string_view text) { say("warning: " + std::string(text)); }
void say(const Error& error) { say(error.message()); }

}  // namespace tfs::sys
