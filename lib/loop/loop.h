// The event loop: one thread runs it, and everything made from it lives and is called in that thread (but Wakeup::wake).
// The only folder with <uv.h>; no header here shows it.
#pragma once

#include <memory>

#include "lib/base/result.h"

struct uv_loop_s;

namespace tfs::loop {

class Loop {
 public:
  static Result<Loop> open();

  // Until stop(), or until nothing is left that could happen.
  void run();
  // Makes run() return when the callbacks of this turn are through.
  void stop();

  uv_loop_s* raw() const { return loop_.get(); }

 private:
  // The timers, polls and so on must be gone by then; what libuv still has to do for them is done here.
  struct Closer {
    void operator()(uv_loop_s* loop) const noexcept;
  };
  explicit Loop(std::unique_ptr<uv_loop_s, Closer> loop) : loop_(std::move(loop)) {}
  std::unique_ptr<uv_loop_s, Closer> loop_;
};

}  // namespace tfs::loop
