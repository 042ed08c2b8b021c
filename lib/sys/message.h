// One line to standard error, in one write(2): "PROGRAM: text" or "PROGRAM: warning: text". Never standard output, which is the stream.
#pragma once

#include <string_view>

#include "lib/base/error.h"

namespace tfs::sys {

void set_program_name(std::string_view name);  // once, in main
std::string_view program_name();

void say(std::string_view text);  // what failed, or what a person wants to know
void warn(std::string_view text);
void say(const Error& error);

}  // namespace tfs::sys
