// A frame as a line of JSON: tfs_dump(1) says what it looks like.
#pragma once

#include <string>

#include "lib/format/decode.h"

namespace tfs::dump {

// Appends the line, newline included. `record` is what decode() made of the frame, or null where the type is none of this
// version: then the payload stands there as it is.
void append_line(const format::Frame& frame, const format::Record* record, bool with_data, std::string& out);

// The member of a line that holds the header's [flags]; records have fields of the name "flags" themselves.
constexpr const char* kFrameFlags = "frame-flags";

}  // namespace tfs::dump
