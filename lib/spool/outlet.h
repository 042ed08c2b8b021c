// From a spool's file to a descriptor: large stretches by sendfile(2), which puts the file's pages into a pipe without a copy, small ones
// by a write, which many of share a page of the pipe.
#pragma once

#include <cstdint>

#include "lib/base/page_bytes.h"
#include "lib/spool/reader.h"

namespace tfs::spool {

class Outlet {
 public:
  explicit Outlet(int fd);  // stays the caller's; a pipe is made as large as it may be

  int fd() const { return fd_; }
  // All of it. Blocks. kSystem/EPIPE where nobody reads any more.
  Status send(const Stretch& stretch);

 private:
  Status send_file(const Stretch& stretch);
  Status copy(const Stretch& stretch, uint64_t sent);
  Status write_all(ByteView bytes);
  Status wait() const;

  int fd_;
  bool can_send_ = true;
  PageBytes buffer_;
};

}  // namespace tfs::spool
