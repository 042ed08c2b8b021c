#include "lib/format/frame.h"

#include <algorithm>
#include <array>

#include "lib/format/crc32c.h"
#include "lib/format/endian.h"

namespace tfs::format {

void store_header(const Header& header, std::byte* at) {
  store_le<uint32_t>(at, header.size);
  store_le<uint16_t>(at + 4, static_cast<uint16_t>(header.type));
  store_le<uint16_t>(at + 6, header.flags);
  store_le<uint32_t>(at + 8, header.checksum);
  store_le<uint32_t>(at + 12, header.links);
  store_le<uint64_t>(at + 16, header.seq);
  store_le<uint64_t>(at + 24, header.id);
}

Header load_header(const std::byte* at) {
  return {load_le<uint32_t>(at),      static_cast<RecordType>(load_le<uint16_t>(at + 4)),
          load_le<uint16_t>(at + 6),  load_le<uint32_t>(at + 8),
          load_le<uint32_t>(at + 12), load_le<uint64_t>(at + 16),
          load_le<uint64_t>(at + 24)};
}

Status check_header(const Header& header) {
  if (header.size < kHeaderSize || header.size > kMaxFrame) {
    return corrupt("frame of " + std::to_string(header.size) + " bytes where " + std::to_string(kHeaderSize) + " to " +
                   std::to_string(kMaxFrame) + " are possible");
  }
  return {};
}

Status check_frame(const Frame& frame) {
  std::array<std::byte, kHeaderSize> head;
  std::copy_n(frame.bytes.begin(), kHeaderSize, head.begin());
  store_le<uint32_t>(head.data() + 8, 0);
  uint32_t sum = crc32c(crc32c(0, head), frame.payload());
  if (sum != frame.header.checksum) return corrupt("checksum does not match");
  for (std::byte b : frame.bytes.subspan(frame.header.size)) {
    if (b != std::byte{0}) return corrupt("padding is not zero");
  }
  return {};
}

}  // namespace tfs::format
