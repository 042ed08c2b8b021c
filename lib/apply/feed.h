// A descriptor's bytes into a Replay, to the end of the stream, with patience: a frame that the disk refuses is tried again until
// it goes in, and a stream that is silent for too long has broken off, whatever TCP believes.
#pragma once

#include <cstdint>

#include "lib/apply/replay.h"

namespace tfs::apply {

enum class FeedEnd {
  kAsItSays,  // END, where to stop, an error, or the end of the input
  kSilent,    // nothing came for `silence_ms`
  kStopped,   // `stop` became readable: the frame under way is done
};

// Success: END, or where to stop, was reached. kTruncated: it broke off, or ended otherwise as `how` says.
struct FeedResult {
  Status status;
  FeedEnd how = FeedEnd::kAsItSays;
};

// `silence_ms` 0: wait for ever. `stop`: a descriptor, or -1.
FeedResult feed(int fd, int stop, int process, Replay& replay, uint64_t silence_ms);

}  // namespace tfs::apply
