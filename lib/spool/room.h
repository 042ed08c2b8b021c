// Room for what comes in: removes whole segments, the oldest first, by size and age, and never one that a reader holds; waits where
// nothing can go. Nothing that was taken is ever dropped to make room but oldest segments, and only with Limits::drops.
#pragma once

#include <cstdint>

#include "lib/spool/registry.h"
#include "lib/spool/stop.h"

namespace tfs::spool {

struct Limits {
  uint64_t max_bytes = 0;      // 0: none
  uint64_t max_age_ms = 0;     // 0: none
  bool drops = false;          // on a full disk: drop the oldest that no reader holds, rather than wait
  const Stop* stop = nullptr;  // ends all waiting, with kTruncated; outlives the room
};

class Room {
 public:
  Room(const Dir& dir, const Limits& limits) : dir_(dir), limits_(limits) {}  // `dir` must outlive it

  // Before a segment of about `size` bytes begins, which will be behind all there are. Waits while readers hold too much.
  Status before_segment(uint64_t size);

  // After the disk was full, as `why` says. Returns when it is worth another try, with a pause where there is nothing else to do.
  Status after_full(const Error& why);

  // After something was written where the disk had been full.
  void went_on();

  // Removes what is older than max_age_ms, but never the newest segment.
  Status trim_by_age();

 private:
  struct Oldest {
    Segment segment;
    bool is_held = false;
  };

  Result<std::optional<uint64_t>> first_held(const std::vector<Segment>& segments, std::string& holder) const;
  Result<std::optional<Oldest>> oldest() const;
  Status remove(const Segment& segment) const;
  Status trim_to(uint64_t bytes);
  Status pause(const std::string& why);

  const Dir& dir_;
  Limits limits_;
  bool is_waiting_ = false;
  sys::Fd watch_;  // of readers' places, while it waits
};

}  // namespace tfs::spool
