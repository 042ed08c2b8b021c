#include "lib/spool/intake.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lib/sys/io.h"

namespace tfs::spool {
namespace {

constexpr int kPipeSize = 1 << 20;  // what anyone may have by default (fs.pipe-max-size)
constexpr size_t kCopyBlock = size_t{256} << 10;

bool is_fifo(int fd) {
  struct stat st;
  return ::fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

// What poll(2) says now; nothing to wait for.
short readiness(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) > 0 ? p.revents : short{0};
}

}  // namespace

Intake::Intake(int fd) : fd_(fd), is_pipe_(is_fifo(fd)), can_splice_(is_pipe_) {
  if (is_pipe_) ::fcntl(fd, F_SETPIPE_SZ, kPipeSize);  // a smaller pipe works as well
}

Result<std::optional<size_t>> Intake::take(int file, uint64_t offset, size_t most) {
  Result<std::optional<size_t>> taken = can_splice_ ? splice_in(file, offset, most) : copy_in(file, offset, most);
  // EINVAL: the filesystem has no splice.
  if (!taken && can_splice_ && taken.error().sys_errno == EINVAL) {
    can_splice_ = false;
    taken = copy_in(file, offset, most);
  }
  if (taken && *taken) taken_ += **taken;
  return taken;
}

Result<std::optional<size_t>> Intake::splice_in(int file, uint64_t offset, size_t most) {
  while (true) {
    auto at = static_cast<off64_t>(offset);
    ssize_t n = ::splice(fd_, nullptr, file, &at, most, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n >= 0) return std::optional<size_t>(static_cast<size_t>(n));
    if (errno == EAGAIN) return std::optional<size_t>();
    if (errno != EINTR) return system_error("spool.intake.splice", errno, "unable to write to the spool");
  }
}

Result<std::optional<size_t>> Intake::copy_in(int file, uint64_t offset, size_t most) {
  if (begin_ == end_) {
    if (readiness(fd_) == 0) return std::optional<size_t>();
    if (buffer_.size() == 0) buffer_ = PageBytes(kCopyBlock);
    begin_ = end_ = 0;
    Result<size_t> n = sys::read_some("spool.intake.read", fd_, std::span(buffer_).first(std::min(most, kCopyBlock)));
    if (!n && n.error().sys_errno == EAGAIN) return std::optional<size_t>();
    if (!n) return system_error("spool.intake.read", n.error().sys_errno, "unable to read the input");
    if (*n == 0) return std::optional<size_t>(0);
    end_ = *n;
  }
  ByteView bytes = ByteView(buffer_).subspan(begin_, std::min(most, end_ - begin_));
  ssize_t n = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (n < 0 && errno == EINTR) return std::optional<size_t>();
  if (n < 0) return system_error("spool.intake.write", errno, "unable to write to the spool");
  begin_ += static_cast<size_t>(n);
  return std::optional<size_t>(static_cast<size_t>(n));
}

Status Intake::open_scratch() {
  if (scratch_in_.is_open()) return {};
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return system_error("spool.intake.pipe", errno, "unable to make a pipe");
  scratch_in_ = sys::Fd(fds[0]);
  scratch_out_ = sys::Fd(fds[1]);
  return {};
}

Result<std::optional<size_t>> Intake::peek(std::span<std::byte> into) {
  // In this order: what is there once no writer is left is all that will ever be.
  bool is_over = readiness(fd_) & POLLHUP;
  int there = 0;
  if (::ioctl(fd_, FIONREAD, &there) != 0) return system_error("spool.intake.count", errno, "unable to read the input");
  if (static_cast<size_t>(there) < into.size() && !is_over) return std::optional<size_t>();
  TFS_TRY(open_scratch());
  size_t wanted = std::min(into.size(), static_cast<size_t>(there)), size = 0;
  if (wanted == 0) return std::optional<size_t>(0);
  ssize_t n = ::tee(fd_, scratch_out_.get(), wanted, SPLICE_F_NONBLOCK);
  if (n < 0) return system_error("spool.intake.tee", errno, "unable to read the input");
  while (size < static_cast<size_t>(n)) {
    size += TFS_TRY(sys::read_some("spool.intake.peek", scratch_in_.get(), into.subspan(size, static_cast<size_t>(n) - size)));
  }
  return std::optional<size_t>(size);
}

}  // namespace tfs::spool
