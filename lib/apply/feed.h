// A descriptor's bytes into a Replay, to the end of the stream, with patience: a frame that the disk refuses is tried again until
// it goes in, and a stream that is silent for too long has broken off, whatever TCP believes.
#pragma once

#include <cstdint>

#include "lib/apply/replay.h"

namespace tfs::apply {

// `silence_ms` 0: wait for ever. Success: END, or where to stop, was reached. kTruncated: it broke off, or (`is_silent`) nothing came.
struct FeedResult {
  Status status;
  bool is_silent = false;
};
FeedResult feed(int fd, Replay& replay, uint64_t silence_ms);

}  // namespace tfs::apply
