// A deadline, or a tick.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "lib/loop/loop.h"

namespace tfs::loop {

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> fn);

  // Calls fn after that time, then each `repeat_ms` unless that is 0. Starting again moves the deadline.
  // Not with 0 from inside fn: libuv (1.44) would call it again at once and never look at anything else. Idle is for that.
  void start(uint64_t after_ms, uint64_t repeat_ms = 0);
  void stop();
  bool is_active() const;

 private:
  struct Handle;
  struct Closer {
    void operator()(Handle* handle) const noexcept;
  };
  std::unique_ptr<Handle, Closer> handle_;
};

}  // namespace tfs::loop
