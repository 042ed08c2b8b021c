// The descriptors and mappings that a Worker holds across operations: most of what goes wrong in a file system goes
// wrong with a file that is open while its name, size or mode changes.
#pragma once

#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "tests/support/random_ops_judgement.h"
#include "tests/support/random_ops_worker.h"

namespace tfs::support {

inline constexpr size_t kPoolSize = 12;
inline constexpr size_t kMappings = 3;

inline bool fits(const Handle& handle, unsigned need) {
  if ((need & kOpaque) != 0) return handle.opaque();
  if (handle.opaque()) return false;
  if ((need & kRead) != 0 && !handle.readable()) return false;
  if ((need & kWrite) != 0 && !handle.writable()) return false;
  if ((need & kFile) != 0 && handle.directory) return false;
  if ((need & kDirectory) != 0 && !handle.directory) return false;
  return (need & kNoAppend) == 0 || !handle.appends();
}

inline std::optional<Handle> Worker::take(unsigned need) {
  std::vector<const Handle*> fitting;
  for (const Handle& handle : pool_) {
    if (fits(handle, need)) fitting.push_back(&handle);
  }
  if (fitting.empty() || rng_.chance(25)) return open_for(need);
  Handle taken = *fitting[rng_.below(fitting.size())];
  spared_ = taken.fd;
  if (taken.directory) by_handle_ = true;
  about({AT_FDCWD, taken.path});
  return taken;
}

inline std::optional<Handle> Worker::open_for(unsigned need) {
  // O_NONBLOCK wherever the path may be a FIFO.
  int flags = O_NONBLOCK | O_CLOEXEC;
  if ((need & kOpaque) != 0) {
    flags = O_PATH | O_CLOEXEC | (rng_.chance(50) ? O_NOFOLLOW : 0);
  } else if ((need & kDirectory) != 0) {
    flags |= O_RDONLY | O_DIRECTORY;
  } else if ((need & kWrite) != 0) {
    flags |= (need & kRead) != 0 || rng_.chance(70) ? O_RDWR : O_WRONLY;
    if (rng_.chance(60)) flags |= O_CREAT;
  }
  Place where{AT_FDCWD, (need & kDirectory) != 0 ? directory() : known_path()};
  about(where);
  int fd = open(where.c_str(), flags, mode());
  if (!step("open", fd) || !keep(fd, flags, where.path)) return {};
  if ((flags & O_CREAT) != 0) remember(where);
  spared_ = fd;
  if (fits(pool_.back(), need)) return pool_.back();
  refuse();
  return {};
}

inline bool Worker::keep(int fd, int flags, const std::string& path) {
  struct stat found;
  if (!step("fstat", fstat(fd, &found))) {
    close_fd(fd);
    return false;
  }
  bool directory = S_ISDIR(found.st_mode);
  if ((flags & O_PATH) == 0 && !directory && !S_ISREG(found.st_mode)) {
    char byte = 'x';
    [[maybe_unused]] ssize_t ignored = write(fd, &byte, 1);
    ignored = read(fd, &byte, 1);
    close_fd(fd);
    return false;
  }
  if (pool_.size() >= kPoolSize) close_one();
  pool_.push_back({fd, flags, directory, path});
  return true;
}

inline void Worker::close_fd(int fd) { step("close", close(fd)); }

inline void Worker::close_one() {
  if (pool_.empty()) return;
  size_t victim = rng_.below(pool_.size());
  if (pool_[victim].fd == spared_) victim = (victim + 1) % pool_.size();
  int fd = pool_[victim].fd;
  pool_.erase(pool_.begin() + static_cast<ptrdiff_t>(victim));
  close_fd(fd);
}

inline bool Worker::is_regular(int fd) {
  struct stat found;
  return step("fstat", fstat(fd, &found)) && S_ISREG(found.st_mode);
}

inline off_t Worker::size_of(int fd) {
  struct stat found;
  return step("fstat", fstat(fd, &found)) ? found.st_size : 0;
}

inline void Worker::unmap(Mapping mapping) {
  step("munmap", munmap(mapping.data, mapping.size));
  close_fd(mapping.fd);
}

// Nothing that is written may be under way any more, so that the store is what the journal says.
inline void Worker::settle() {
  for (Mapping& mapping : mappings_) {
    sync_step("msync", [&] { return msync(mapping.data, mapping.size, MS_SYNC); });
    unmap(mapping);
  }
  mappings_.clear();
}

inline unsigned long Worker::aio_context() {
  static constexpr unsigned kInFlight = 16;
  if (aio_context_ == 0) step("io_setup", syscall(SYS_io_setup, kInFlight, &aio_context_));
  return aio_context_;
}

}  // namespace tfs::support
