// Readiness of a descriptor: pipes, sockets, devices. Level-triggered; the owner does its own reading and writing.
#pragma once

#include <functional>
#include <memory>

#include "lib/loop/loop.h"

namespace tfs::loop {

enum Ready : unsigned {
  kReadable = 1,  // also at the end
  kWritable = 2,  // also when the other side is gone
  kHangup = 4,    // both directions are closed, or the descriptor is in error; half closed is not
};

class Poll {
 public:
  // `fn` gets a set of Ready. EPERM where the kernel cannot watch such a descriptor: a regular file is always ready.
  // The descriptor stays the caller's, keeps its O_NONBLOCK as it is, and must stay open while this lives.
  static Result<Poll> open(Loop& loop, int fd, std::function<void(unsigned)> fn);

  // What to wait for, until changed: a set of Ready, or 0 for nothing. A descriptor in error ends the waiting: it is told
  // once, as kHangup, whatever was asked for.
  Status set(unsigned events);
  unsigned events() const;

 private:
  struct Handle;
  struct Closer {
    void operator()(Handle* handle) const noexcept;
  };
  explicit Poll(std::unique_ptr<Handle, Closer> handle) : handle_(std::move(handle)) {}
  std::unique_ptr<Handle, Closer> handle_;
};

}  // namespace tfs::loop
