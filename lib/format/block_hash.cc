#include "lib/format/block_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tfs::format {

BlockHash block_hash(uint64_t seed, ByteView bytes) {
  XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.low64, hash.high64};
}

}  // namespace tfs::format
