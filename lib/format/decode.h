// Frames to records. Checks all, trusts nothing, allocates nothing but the Error.
#pragma once

#include <cstdint>

#include "lib/format/frame.h"
#include "lib/format/records.h"

namespace tfs::format {

// The record in a frame whose checksum was checked. kCorrupt where the payload is not what tfs_stream(5) says of its type,
// or the type is none of this version. Views point into frame.bytes.
Result<Record> decode(const Frame& frame);
// The same into `out`, which is of no use where it fails.
Status decode(const Frame& frame, Record& out);

// One name and value of [xattrs], taken off its front. False at the end. Only for what decode() returned.
bool next_xattr(ByteView& xattrs, std::string_view& name, ByteView& value);

// The same for [entries].
bool next_entry(ByteView& entries, uint8_t& type, std::string_view& name);

}  // namespace tfs::format
