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

Error was_cut(const char* op, const Stretch& stretch) {
  return {Kind::kSystem, 0, op, std::string(stretch.shown) + " was cut while it was read"};
}

}  // namespace

Outlet::Outlet(int fd) : fd_(fd), buffer_(kCopy) { ::fcntl(fd, F_SETPIPE_SZ, kPipeSize); }

Status Outlet::send(const Stretch& stretch) {
  if (stretch.file < 0) return write_all(stretch.made);
  if (stretch.size <= kCopy || !can_send_) return copy(stretch, 0);
  return send_file(stretch);
}

Status Outlet::send_file(const Stretch& stretch) {
  for (uint64_t sent = 0; sent < stretch.size;) {
    auto at = static_cast<off64_t>(stretch.offset + sent);
    ssize_t n = ::sendfile64(fd_, stretch.file, &at, stretch.size - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      TFS_TRY(wait());
      continue;
    }
    // Not everything takes it: a file that is open for appending, a terminal. And of a failure it does not tell which side it is.
    if (n < 0 && (errno == EINVAL || errno == ENOSYS || errno == EIO)) {
      can_send_ = errno == EIO;
      return copy(stretch, sent);
    }
    if (n < 0) return output_error("spool.outlet.sendfile");
    if (n == 0) return was_cut("spool.outlet.short", stretch);
    sent += static_cast<uint64_t>(n);
  }
  return {};
}

// What of it is not sent yet.
Status Outlet::copy(const Stretch& stretch, uint64_t sent) {
  while (sent < stretch.size) {
    std::span<std::byte> block = std::span(buffer_).first(std::min<uint64_t>(stretch.size - sent, kCopy));
    size_t n = TFS_TRY(read_at("spool.outlet.read", stretch.file, std::string(stretch.shown), stretch.offset + sent, block));
    if (n == 0) return was_cut("spool.outlet.gone", stretch);
    TFS_TRY(write_all(ByteView(buffer_).first(n)));
    sent += n;
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
