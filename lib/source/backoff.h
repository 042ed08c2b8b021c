// Pauses between tries that grow: doubled from the least to the most, and from the start again once there was progress. A fifth more or
// less, so that many who lost the same peer do not come back at the same moment. Does no I/O and knows no clock.
#pragma once

#include <cstdint>

namespace tfs::source {

class Backoff {
 public:
  Backoff(uint64_t least_ms, uint64_t most_ms, uint64_t seed)
      : least_ms_(least_ms), most_ms_(most_ms), next_ms_(least_ms), seed_(seed) {}

  void progressed() { next_ms_ = least_ms_; }
  uint64_t next_ms();

 private:
  uint64_t least_ms_, most_ms_, next_ms_, seed_;
};

}  // namespace tfs::source
