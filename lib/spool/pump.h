// Gives out a spool through one descriptor, to its end or as it grows, and keeps the reader's place. The same for tfs_buffer --read
// and for the writer's own standard output, which is a thread of it.
#pragma once

#include "lib/spool/outlet.h"
#include "lib/spool/registry.h"
#include "lib/spool/stop.h"
#include "lib/spool/watch.h"

namespace tfs::spool {

class Pump {
 public:
  // `place_keeper` (nothing: nobody) is told each place. Both must outlive it.
  Pump(Reader& reader, const Dir& dir, int output, Registration* place_keeper);

  // To the end of what is there.
  Status run();
  // And on as it grows. Ends where the last frame is END and no writer runs; or, once `over` (if any) is set, with what is there.
  // kSystem/EPIPE where nobody reads any more; with `over`, a reader that leaves behind END has all there is, and that is an error
  // only once there is more.
  Status follow(const Stop* over = nullptr);

  bool is_read() { return watch_.wait(outlet_.fd(), 0).ok(); }

  // How the reader goes: stored with its place.
  Status mark(Mark mark);

 private:
  Status send_all();

  Reader& reader_;
  Watch watch_;
  Outlet outlet_;
  Registration* place_keeper_;
  Place place_;
};

}  // namespace tfs::spool
