// From the input into a file, at an offset. Bytes leave a pipe by splice(2) only to be in the file: a process that is killed at any
// instruction has lost none, for each is in the one or in the other. It costs one copy, and the check of what arrived another
// from cache; read and write together cost the same two.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "lib/base/bytes.h"
#include "lib/base/page_bytes.h"
#include "lib/base/result.h"
#include "lib/sys/fd.h"

namespace tfs::spool {

class Intake {
 public:
  // `fd` stays the caller's. A pipe is made as large as it may be.
  explicit Intake(int fd);

  int fd() const { return fd_; }
  bool is_pipe() const { return is_pipe_; }
  uint64_t taken() const { return taken_; }  // bytes, from the input's beginning

  // At most `most` bytes. Nothing where none are there yet, 0 at the end of the input. Where the file's disk is full (is_full) no byte
  // is lost, and it can be called again.
  Result<std::optional<size_t>> take(int file, uint64_t offset, size_t most);

  // What a pipe holds in front, as many bytes as `into` has, without taking them; fewer only where the input ends with them.
  // Nothing where there are not as many yet.
  Result<std::optional<size_t>> peek(std::span<std::byte> into);

 private:
  Result<std::optional<size_t>> splice_in(int file, uint64_t offset, size_t most);
  Result<std::optional<size_t>> copy_in(int file, uint64_t offset, size_t most);
  Status open_scratch();

  int fd_;
  bool is_pipe_ = false, can_splice_ = false;
  uint64_t taken_ = 0;
  PageBytes buffer_;  // of copy_in(): what is read and not yet written
  size_t begin_ = 0, end_ = 0;
  sys::Fd scratch_in_, scratch_out_;  // a pipe for peek()
};

}  // namespace tfs::spool
