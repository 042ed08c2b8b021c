// An owned file descriptor. Move-only, no conversion to int or bool; 0 is valid.
#pragma once

#include "lib/base/result.h"

namespace tfs::sys {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }

  bool is_open() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int release();
  void reset();  // closes; the result is lost
  // Closes and says so. EINTR is not tried again: Linux has closed the descriptor.
  Status close(const char* op, std::string detail);

 private:
  int fd_ = -1;
};

}  // namespace tfs::sys
