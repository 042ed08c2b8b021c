#include "lib/sys/io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>

#include "lib/base/escape.h"

namespace tfs::sys {
namespace {

// write(first, count) writes some of what it is given, until all is written.
template <class Write>
Status all_parts(const char* op, std::span<iovec> parts, Write write) {
  while (true) {
    while (!parts.empty() && parts.front().iov_len == 0) parts = parts.subspan(1);
    if (parts.empty()) return {};
    ssize_t n = write(parts.data(), static_cast<int>(std::min<size_t>(parts.size(), IOV_MAX)));
    if (n < 0) {
      if (errno == EINTR) continue;
      return system_error(op, errno, "unable to write");
    }
    for (auto left = static_cast<size_t>(n); left > 0;) {
      iovec& part = parts.front();
      size_t taken = std::min(left, part.iov_len);
      part.iov_base = static_cast<std::byte*>(part.iov_base) + taken;
      part.iov_len -= taken;
      left -= taken;
      if (part.iov_len == 0) parts = parts.subspan(1);
    }
  }
}

}  // namespace

Result<Fd> open_at(const char* op, int dir, const char* path, int flags, unsigned mode) {
  while (true) {
    int fd = ::openat(dir, path, flags | O_CLOEXEC, mode);
    if (fd >= 0) return Fd(fd);
    if (errno != EINTR) return system_error(op, errno, "unable to open " + escape(path));
  }
}

Result<size_t> read_some(const char* op, int fd, std::span<std::byte> into) {
  while (true) {
    ssize_t n = ::read(fd, into.data(), into.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return system_error(op, errno, "unable to read");
  }
}

Status write_all(const char* op, int fd, ByteView bytes) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  return writev_all(op, fd, {&part, 1});
}

Status writev_all(const char* op, int fd, std::span<iovec> parts) {
  return all_parts(op, parts, [fd](const iovec* first, int count) { return ::writev(fd, first, count); });
}

Status pwrite_all(const char* op, int fd, ByteView bytes, uint64_t offset) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  return pwritev_all(op, fd, {&part, 1}, offset);
}

Status pwritev_all(const char* op, int fd, std::span<iovec> parts, uint64_t offset) {
  return all_parts(op, parts, [fd, &offset](const iovec* first, int count) {
    auto at = static_cast<off_t>(offset);
    ssize_t n = count == 1 ? ::pwrite(fd, first->iov_base, first->iov_len, at) : ::pwritev(fd, first, count, at);
    if (n > 0) offset += static_cast<uint64_t>(n);
    return n;
  });
}

Result<std::string> read_file(const char* op, int dir, const char* path, size_t limit) {
  Fd fd = TFS_TRY(open_at(op, dir, path, O_RDONLY));
  std::string text(limit, '\0');
  size_t size = 0;
  while (size < limit) {
    size_t n = TFS_TRY(read_some(op, fd.get(), std::as_writable_bytes(std::span(text)).subspan(size)));
    if (n == 0) break;
    size += n;
  }
  text.resize(size);
  return text;
}

WallTime wall_time() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec, static_cast<uint32_t>(now.tv_nsec)};
}

int64_t monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// By fchmodat2(2), from Linux 6.6 on; before that through /proc, which costs a walk.
int change_mode(int fd, unsigned mode) {
  constexpr long kFchmodat2 = 452;  // the same on all architectures
  static std::atomic<bool> is_known{true};
  if (is_known.load(std::memory_order_relaxed)) {
    if (::syscall(kFchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0) return 0;
    if (errno != ENOSYS) return errno;
    is_known = false;
  }
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  return ::chmod(path.c_str(), mode) == 0 ? 0 : errno;
}

uint32_t holes_in(int fd, uint64_t offset, uint64_t end, uint64_t page) {
  uint32_t holes = 0;
  for (uint64_t at = offset; at < end;) {
    off_t found = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (found < 0 && errno != ENXIO) return 0;
    uint64_t data = found < 0 ? end : std::min(end, static_cast<uint64_t>(found));
    uint64_t n = (at - offset + page - 1) / page;
    for (; offset + n * page < data && std::min(end, offset + (n + 1) * page) <= data; n++) holes |= uint32_t{1} << n;
    off_t hole = data >= end ? -1 : ::lseek(fd, static_cast<off_t>(data), SEEK_HOLE);
    at = hole < 0 ? end : static_cast<uint64_t>(hole);
  }
  return holes;
}

}  // namespace tfs::sys
