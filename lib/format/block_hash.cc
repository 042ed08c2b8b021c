#include "lib/format/block_hash.h"

// Its loops are meant to be unrolled: g++ does that, and hashes 1.7 times as fast, only so.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O3")
#define TFS_HAS_PUSHED_OPTIONS
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

#ifdef TFS_HAS_PUSHED_OPTIONS
#pragma GCC pop_options
#endif

#include <algorithm>
#include <cstring>

namespace tfs::format {

BlockHash block_hash(uint64_t seed, ByteView bytes) {
  XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.low64, hash.high64};
}

uint32_t zero_pages(ByteView block) {
  uint32_t zeros = 0;
  for (uint32_t bit = 1; !block.empty(); bit <<= 1) {
    ByteView page = block.first(std::min(block.size(), kHashPage));
    block = block.subspan(page.size());
    // All are zero if the first is, and each is as the one before it.
    if (page[0] == std::byte{0} && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0) zeros |= bit;
  }
  return zeros;
}

}  // namespace tfs::format
