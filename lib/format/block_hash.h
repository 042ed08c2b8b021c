// The hash of HASH frames: XXH3 of 128 bits with a seed, from Debian's libxxhash. It tells blocks that differ by accident or decay from
// those that are equal; the seed is new for each scan, so that no two blocks can be made to agree beforehand.
#pragma once

#include <cstdint>

#include "lib/base/bytes.h"
#include "lib/format/limits.h"

namespace tfs::format {

struct BlockHash {
  uint64_t low = 0, high = 0;
  bool operator==(const BlockHash&) const = default;
};

// Room for a block, at the beginning of a page (see page_bytes.h).
struct alignas(kHashPage) Block {
  std::byte bytes[kHashBlock];
  ByteView first(size_t size) const { return ByteView(bytes).first(size); }
};

BlockHash block_hash(uint64_t seed, ByteView bytes);

// Bit n is set where page n (kHashPage) of a block is all zeros: no other page can be a hole.
uint32_t zero_pages(ByteView block);

}  // namespace tfs::format
