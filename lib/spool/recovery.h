// What a writer finds when it starts: how far the newest segment is good. A torn tail is what every kill leaves, and is no damage; after
// the machine itself went down, what was not synced may be lost in any order, and the spool ends where the first of that is.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/page_bytes.h"
#include "lib/spool/dir.h"
#include "lib/spool/track.h"

namespace tfs::spool {

// A segment, read from its beginning.
struct SegmentCheck {
  uint64_t size = 0;             // of the file
  uint64_t good = 0;             // behind the last frame that is whole, unharmed and in its place
  std::vector<std::byte> hello;  // its first frame
  Track track;                   // behind the last good frame
  bool has_frames = false;       // beside HELLO
  Status problem;                // what is wrong at `good`, if it is more than a frame that breaks off
  bool is_foreign = false;       // at `good` is a HELLO of another epoch: being moved to the next segment
  bool is_rejoined = false;      // the last good frame is HELLO again: what follows may go on elsewhere, and be moved as well
};
Result<SegmentCheck> check_segment(const Dir& dir, const SegmentName& name, int fd);

struct Recovered {
  bool has_segment = false;
  SegmentName name;  // of the newest
  SegmentCheck check;
  uint64_t next_index = 1;
};

// Puts in order what needs no input for it, and says what it cuts off. With `is_after_restart` the machine was started anew.
// kCorrupt where good frames lie behind damage: that takes a person.
Result<Recovered> recover(const Dir& dir, bool is_after_restart);

}  // namespace tfs::spool
