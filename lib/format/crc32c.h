// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as iSCSI and ext4 use it; the check value of "123456789" is 0xe3069283.
// With SSE 4.2 three independent lanes run at about 20 GB/s; without, slicing by eight.
#pragma once

#include <cstdint>

#include "lib/base/bytes.h"

namespace tfs::format {

// The checksum of `bytes` behind bytes whose checksum is `before` (0 for none).
uint32_t crc32c(uint32_t before, ByteView bytes);

// The same by slicing by eight: what machines without SSE 4.2 run, and what tests compare with.
uint32_t crc32c_by_table(uint32_t before, ByteView bytes);

// The checksum of a followed by b, from theirs: lets a payload be summed outside the lock under which its header is made.
uint32_t crc32c_join(uint32_t a, uint32_t b, size_t b_size);

}  // namespace tfs::format
