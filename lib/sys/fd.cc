#include "lib/sys/fd.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace tfs::sys {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int Fd::release() { return std::exchange(fd_, -1); }

void Fd::reset() {
  if (fd_ >= 0) ::close(release());
}

Status Fd::close(const char* op, std::string detail) {
  if (::close(release()) != 0 && errno != EINTR) return system_error(op, errno, std::move(detail));
  return {};
}

}  // namespace tfs::sys
