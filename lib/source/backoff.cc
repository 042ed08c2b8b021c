#include "lib/source/backoff.h"

#include <algorithm>

namespace tfs::source {

uint64_t Backoff::next_ms() {
  uint64_t pause = std::min(next_ms_, most_ms_);
  next_ms_ = std::min(most_ms_, 2 * next_ms_);
  seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
  uint64_t spread = 2 * pause / 5;
  return pause - spread / 2 + (spread > 0 ? (seed_ >> 33) % (spread + 1) : 0);
}

}  // namespace tfs::source
