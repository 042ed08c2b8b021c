// Base64 (RFC 4648 section 4, padded): how bytes that are no names stand in JSON.
#pragma once

#include <string>
#include <vector>

#include "lib/base/bytes.h"
#include "lib/base/result.h"

namespace tfs::dump {

void append_base64(ByteView bytes, std::string& out);

// Appends the bytes that append_base64() was given. kCorrupt for all that it does not make: white space, missing padding,
// bits behind the end. So there is one text for each sequence of bytes.
Status append_from_base64(std::string_view text, std::vector<std::byte>& out);

}  // namespace tfs::dump
