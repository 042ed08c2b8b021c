// The inverse of to_json.h: a line of JSON as the frame that it was made from.
#pragma once

#include <string_view>
#include <vector>

#include "lib/base/result.h"

namespace tfs::dump {

// Appends the whole frame, with its checksum and padding. kCorrupt where the line is not what tfs_dump(1) says of it, or stands
// for a frame that no reader would take. Members may come in any order; none may be missing and none be left over.
Status append_frame_of(std::string_view line, std::vector<std::byte>& out);

}  // namespace tfs::dump
