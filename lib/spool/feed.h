// One input, to its end.
#pragma once

#include <cstdint>

#include "lib/spool/writer.h"

namespace tfs::spool {

enum class FeedEnd {
  kClean,  // with END
  kBrokeOff,
  kSilent,  // nothing came for too long
  kStopped,
};

struct FeedLimits {
  uint64_t timeout_ms = 0;    // 0: none
  uint64_t age_check_ms = 0;  // how often old segments are looked for while nothing comes; 0: never
};

// Where the input has not ended, what came of an unfinished frame stays: a later writer may get the rest from the same pipe.
Result<FeedEnd> feed(Writer& writer, Intake& in, Beginning beginning, const FeedLimits& limits, const Stop& stop);

}  // namespace tfs::spool
