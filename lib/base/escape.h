// Bytes made printable on one line, reversibly: printable ASCII stays, the rest becomes \xNN, a backslash becomes \\.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace tfs {

std::string escape(std::string_view bytes);

// The same as a string of JSON, with its quotes.
std::string quote(std::string_view bytes);

// The bytes that escape() was given. kUsage where `text` is not something that escape() makes.
Result<std::string> unescape(std::string_view text);

}  // namespace tfs
