// Reading and writing descriptors whole. Op tag first; EINTR is handled here.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>

#include "lib/base/bytes.h"
#include "lib/sys/fd.h"

namespace tfs::sys {

// open(2) relative to `dir` (AT_FDCWD), always O_CLOEXEC.
Result<Fd> open_at(const char* op, int dir, const char* path, int flags, unsigned mode = 0);

// At least one byte, or 0 at the end. Blocks.
Result<size_t> read_some(const char* op, int fd, std::span<std::byte> into);

Status write_all(const char* op, int fd, ByteView bytes);
Status writev_all(const char* op, int fd, std::span<iovec> parts);  // changes `parts`
Status pwrite_all(const char* op, int fd, ByteView bytes, uint64_t offset);
Status pwritev_all(const char* op, int fd, std::span<iovec> parts, uint64_t offset);  // changes `parts`

// All of a small file, at most `limit` bytes.
Result<std::string> read_file(const char* op, int dir, const char* path, size_t limit);

// The wall clock, in the units of stat(2).
struct WallTime {
  int64_t sec = 0;
  uint32_t nsec = 0;
};
WallTime wall_time();
int64_t monotonic_ms();

// chmod(2) of what a descriptor, O_PATH or not, refers to. 0 or an errno.
int change_mode(int fd, unsigned mode);

// Bit n: nothing is allocated for page n of [offset, end), at most 32 pages of `page` bytes. 0 where the filesystem cannot tell.
uint32_t holes_in(int fd, uint64_t offset, uint64_t end, uint64_t page);

}  // namespace tfs::sys
