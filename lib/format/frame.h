// The header that every frame begins with, and a whole frame in memory. A router needs nothing but this.
#pragma once

#include <cstdint>

#include "lib/base/bytes.h"
#include "lib/base/result.h"
#include "lib/format/limits.h"
#include "lib/format/record_type.h"

namespace tfs::format {

struct Header {
  uint32_t size = 0;      // [size] of header and payload, without the padding behind it
  RecordType type{};      // [type]
  uint16_t flags = 0;     // [flags]
  uint32_t checksum = 0;  // [checksum] CRC-32C of header and payload, taken with this field zero
  uint32_t links = 0;     // [links] hard links of the object after the operation; 0 where it does not apply
  uint64_t seq = 0;       // [seq]
  uint64_t id = 0;        // [id] of the object: its inode number in the store; 0 where it does not apply

  // Bytes from this frame's start to the next one's.
  size_t stride() const { return round_up(size, kAlignment); }
};

constexpr uint16_t kFlagSkippable = 1;  // [flags]: a reader that does not know the type may pass the frame over

// A whole frame, padding included. Valid as long as the bytes that it points at.
struct Frame {
  Header header;
  ByteView bytes;  // header, payload and padding
  ByteView payload() const { return bytes.subspan(kHeaderSize, header.size - kHeaderSize); }
};

void store_header(const Header& header, std::byte* at);  // writes kHeaderSize bytes
Header load_header(const std::byte* at);                 // reads kHeaderSize bytes; checks nothing

// kCorrupt where no frame can have such a header.
Status check_header(const Header& header);

// kCorrupt unless the checksum holds and the padding is zero.
Status check_frame(const Frame& frame);

}  // namespace tfs::format
