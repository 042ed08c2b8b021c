#include "lib/spool/stop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace tfs::spool {

Status Stop::open() {
  event_ = sys::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event_.is_open()) return system_error("spool.stop.eventfd", errno, "unable to make an event");
  return {};
}

void Stop::set() {
  is_set_ = true;
  uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(event_.get(), &one, sizeof one);
}

}  // namespace tfs::spool
