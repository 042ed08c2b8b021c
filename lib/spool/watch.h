// Waits until a spool has changed: a writer has committed something, or come or gone. By inotify(7), without looking again and again.
#pragma once

#include "lib/spool/dir.h"

namespace tfs::spool {

class Watch {
 public:
  explicit Watch(const Dir& dir);

  // What has happened up to now is no news any more. Call it, look at the spool, then wait(): nothing is missed.
  void clear();

  // Until something has happened since clear(), or for `most_ms` (-1: without end), or until `event` (-1: none) is readable. kSystem/EPIPE
  // as soon as nobody reads `output` any more.
  Status wait(int output, int most_ms, int event = -1);

 private:
  sys::Fd fd_;
};

}  // namespace tfs::spool
