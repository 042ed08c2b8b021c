// Tells a writer's thread to stop, wherever it waits; from any thread, or a signal handler.
#pragma once

#include <atomic>

#include "lib/sys/fd.h"

namespace tfs::spool {

class Stop {
 public:
  Status open();
  void set();
  bool is_set() const { return is_set_; }
  int event() const { return event_.get(); }  // readable once it is set

 private:
  std::atomic<bool> is_set_ = false;
  sys::Fd event_;
};

}  // namespace tfs::spool
