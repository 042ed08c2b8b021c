// A way into the loop from another thread.
#pragma once

#include <functional>
#include <memory>

#include "lib/loop/loop.h"

namespace tfs::loop {

class Wakeup {
 public:
  // `fn` runs in the loop's thread, once or more often for any number of wake() since it last did.
  // Keeps run() from returning while it lives.
  static Result<Wakeup> open(Loop& loop, std::function<void()> fn);

  void wake();  // from any thread, also in a signal handler; not while the owner is being destroyed

 private:
  struct Handle;
  struct Closer {
    void operator()(Handle* handle) const noexcept;
  };
  explicit Wakeup(std::unique_ptr<Handle, Closer> handle) : handle_(std::move(handle)) {}
  std::unique_ptr<Handle, Closer> handle_;
};

}  // namespace tfs::loop
