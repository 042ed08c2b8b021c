#include "lib/spool/outlet.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lib/spool/file_io.h"

namespace tfs::spool {
namespace {

constexpr int kPipeSize = 1 << 20;
// Up to here a copy is cheaper than a page of the pipe for each 4 KiB, or part of it.
constexpr size_t kCopy = size_t{32} << 10;

Error output_error(const char* op) { return system_error(op, errno, "unable to write to standard output"); }

}  // namespace

Outlet::Outlet(int fd) : fd_(fd), buffer_(kCopy) { ::fcntl(fd, F_SETPIPE_SZ, kPipeSize); }

Status Outlet::send(const Stretch& stretch) {
  if (stretch.file < 0) return write_all(stretch.made);
  if (stretch.size <= kCopy || !can_send_) return copy(stretch.file, stretch.offset, stretch.size);
  return send_file(stretch.file, stretch.offset, stretch.size);
}

Status Outlet::send_file(int file, uint64_t offset, uint64_t size) {
  while (size > 0) {
    auto at = static_cast<off64_t>(offset);
    ssize_t n = ::sendfile64(fd_, file, &at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      TFS_TRY(wait());
      continue;
    }
    // Not everything takes it: a file that is open for appending, a terminal.
    if (n < 0 && (errno == EINVAL || errno == ENOSYS)) {
      can_send_ = false;
      return copy(file, offset, size);
    }
    if (n < 0) return output_error("spool.outlet.sendfile");
    if (n == 0) return Error{Kind::kSystem, 0, "spool.outlet.short", "a segment was cut while it was read"};
    offset += static_cast<uint64_t>(n);
    size -= static_cast<uint64_t>(n);
  }
  return {};
}

Status Outlet::copy(int file, uint64_t offset, uint64_t size) {
  while (size > 0) {
    size_t n = TFS_TRY(
        read_at("spool.outlet.read", file, "a segment", offset, std::span(buffer_).first(std::min<uint64_t>(size, kCopy))));
    if (n == 0) return Error{Kind::kSystem, 0, "spool.outlet.gone", "a segment was cut while it was read"};
    TFS_TRY(write_all(ByteView(buffer_).first(n)));
    offset += n;
    size -= n;
  }
  return {};
}

Status Outlet::write_all(ByteView bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n >= 0) bytes = bytes.subspan(static_cast<size_t>(n));
    else if (errno == EAGAIN) TFS_TRY(wait());
    else if (errno != EINTR) return output_error("spool.outlet.write");
  }
  return {};
}

// Somebody else has made the descriptor non-blocking.
Status Outlet::wait() const {
  pollfd p{fd_, POLLOUT, 0};
  if (::poll(&p, 1, -1) < 0 && errno != EINTR) return output_error("spool.outlet.poll");
  return {};
}

}  // namespace tfs::spool
