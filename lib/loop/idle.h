// Called once in each turn of the loop, which then does not wait: for a source that is always ready, like a regular file.
#pragma once

#include <functional>
#include <memory>

#include "lib/loop/loop.h"

namespace tfs::loop {

class Idle {
 public:
  Idle(Loop& loop, std::function<void()> fn);
  void start();
  void stop();

 private:
  struct Handle;
  struct Closer {
    void operator()(Handle* handle) const noexcept;
  };
  std::unique_ptr<Handle, Closer> handle_;
};

}  // namespace tfs::loop
