// Operations on the content of files.
#pragma once

#include <sys/sendfile.h>
#include <sys/uio.h>

#include <cstdint>
#include <cstring>

#include "tests/support/random_ops_worker.h"

namespace tfs::support {

inline void check_content(Worker& w, const Handle& h, off_t at, const char* expected, ssize_t size, const char* what) {
  if (!w.verifying() || !h.readable() || size <= 0) return;
  ssize_t got = pread(h.fd, w.in(), static_cast<size_t>(size), at);
  w.expect(got == size && memcmp(w.in(), expected, static_cast<size_t>(size)) == 0, what);
}

// At most the first 64 KiB of the range: enough to see that it is a hole, or is not.
inline void check_zeros(Worker& w, const Handle& h, off_t from, off_t to, const char* what) {
  if (!w.verifying() || !h.readable() || from >= to) return;
  size_t size = static_cast<size_t>(std::min<off_t>(to - from, 64 << 10));
  ssize_t got = pread(h.fd, w.in(), size, from);
  bool zeros = got == static_cast<ssize_t>(size) && w.in()[0] == 0 && memcmp(w.in(), w.in() + 1, size - 1) == 0;
  w.expect(zeros, what);
}

inline void check_size(Worker& w, int fd, off_t size, const char* what) {
  if (w.verifying()) w.expect(w.size_of(fd) == size, what);
}

// Sometimes zeros: whoever looks for holes must not take them for one where it matters.
inline void make_data(Worker& w, size_t size) {
  if (w.rng().chance(8)) {
    memset(w.out(), 0, size);
  } else {
    w.rng().fill(w.out(), size);
  }
}

// Writes at `at`, and through a descriptor that appends at the end, whatever `at` is.
inline void write_at(Worker& w, const Handle& h, off_t at, size_t size) {
  off_t before = w.size_of(h.fd);
  w.detail("offset %lld length %zu size %lld", static_cast<long long>(at), size, static_cast<long long>(before));
  make_data(w, size);
  ssize_t written = pwrite(h.fd, w.out(), size, at);
  if (!w.step("pwrite", written)) return;
  off_t landed = h.appends() ? before : at;
  check_size(w, h.fd, std::max(before, landed + written), "size after pwrite");
  check_content(w, h, landed, w.out(), written, "content after pwrite");
}

inline void op_pwrite(Worker& w) {
  std::optional<Handle> h = w.take(kWrite | kFile);
  if (!h) return;
  off_t at = w.offset(w.size_of(h->fd));
  write_at(w, *h, at, w.length());
}

// At the descriptor's own position, which it sometimes moves.
inline void op_write(Worker& w) {
  std::optional<Handle> h = w.take(kWrite | kFile);
  if (!h) return;
  off_t before = w.size_of(h->fd);
  if (w.rng().chance(40)) w.step("lseek", lseek(h->fd, w.offset(before), SEEK_SET));
  size_t size = w.length();
  off_t at = h->appends() ? before : lseek(h->fd, 0, SEEK_CUR);
  w.detail("offset %lld length %zu", static_cast<long long>(at), size);
  make_data(w, size);
  ssize_t written = write(h->fd, w.out(), size);
  if (!w.step("write", written)) return;
  check_size(w, h->fd, std::max(before, at + written), "size after write");
  check_content(w, *h, at, w.out(), written, "content after write");
}

inline void op_writev(Worker& w) {
  std::optional<Handle> h = w.take(kWrite | kFile);
  if (!h) return;
  off_t before = w.size_of(h->fd);
  off_t at = w.offset(before);
  bool append = w.rng().chance(25);
  iovec parts[6];
  size_t count = w.rng().between(1, std::size(parts));
  size_t size = 0;
  for (size_t i = 0; i < count; i++) {
    size_t part = w.rng().chance(15) ? 0 : w.rng().log_uniform(32 << 10);
    parts[i] = {w.out() + size, part};
    size += part;
  }
  w.detail("offset %lld length %zu in %zu parts%s", static_cast<long long>(at), size, count, append ? " RWF_APPEND" : "");
  make_data(w, size);
  ssize_t written = append ? pwritev2(h->fd, parts, static_cast<int>(count), at, RWF_APPEND)
                           : pwritev(h->fd, parts, static_cast<int>(count), at);
  if (!w.step("pwritev", written)) return;
  off_t landed = append || h->appends() ? before : at;
  if (written > 0) check_size(w, h->fd, std::max(before, landed + written), "size after pwritev");
  check_content(w, *h, landed, w.out(), written, "content after pwritev");
}

// Two descriptors append to one file in turn.
inline void op_append(Worker& w) {
  Place where = w.place();
  w.about(where);
  int flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC;
  int first = openat(where.dir, where.c_str(), flags, w.mode());
  if (!w.step("open", first)) return;
  w.remember(where);
  int second_flags = O_RDWR | O_APPEND | O_NONBLOCK | O_CLOEXEC;
  int second = openat(where.dir, where.c_str(), second_flags);
  if (!w.step("open again", second)) return w.close_fd(first);
  if (!w.is_regular(first) || !w.is_regular(second)) {
    w.refuse();
  } else {
    for (uint64_t more = w.rng().between(2, 5); more > 0; more--) {
      // Verified through the second, which can read; `write_at` sees where it landed.
      size_t size = w.rng().log_uniform(16 << 10);
      Handle one{w.rng().chance(50) ? first : second, O_WRONLY | O_APPEND, false, ""};
      off_t before = w.size_of(one.fd);
      write_at(w, one, w.offset(before), size);
      off_t after = w.size_of(second);
      check_content(w, {second, second_flags, false, ""}, before, w.out(), after - before, "content after append");
    }
  }
  w.close_fd(first);
  w.keep(second, second_flags, where.path);
}

// Opened for this operation only: a descriptor that insists on alignment would spoil the pool.
inline int open_direct(Worker& w) {
  std::string path = w.known_path();
  w.about({AT_FDCWD, path});
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_DIRECT | O_NONBLOCK | O_CLOEXEC, 0666);
  if (!w.step("open O_DIRECT", fd)) return -1;
  if (w.is_regular(fd)) return fd;
  w.refuse();
  w.close_fd(fd);
  return -1;
}

inline void op_direct(Worker& w) {
  int fd = open_direct(w);
  if (fd < 0) return;
  for (uint64_t more = w.rng().between(1, 3); more > 0; more--) {
    size_t size = w.rng().between(1, w.settings().big ? 256 : 64) * 4096;
    off_t at = static_cast<off_t>(w.rng().below(64) * 4096);
    if (w.rng().chance(10)) size -= w.rng().below(4096);  // EINVAL, or the file system copes
    w.detail("offset %lld length %zu", static_cast<long long>(at), size);
    make_data(w, size);
    ssize_t written = pwrite(fd, w.out(), size, at);
    if (!w.step("pwrite O_DIRECT", written)) continue;
    if (size % 4096 == 0) check_content(w, {fd, O_RDWR, false, ""}, at, w.out(), written, "content after O_DIRECT write");
  }
  w.close_fd(fd);
}

inline void set_size(Worker& w, const Handle& h) {
  off_t before = w.size_of(h.fd);
  off_t after = w.rng().chance(15) ? 0 : w.offset(before);
  w.detail("from %lld to %lld", static_cast<long long>(before), static_cast<long long>(after));
  if (!w.step("ftruncate", ftruncate(h.fd, after))) return;
  check_size(w, h.fd, after, "size after ftruncate");
  check_zeros(w, h, before, after, "old content after ftruncate");
}

inline void op_ftruncate(Worker& w) {
  std::optional<Handle> h = w.take(kWrite | kFile);
  if (h) set_size(w, *h);
}

inline void op_truncate(Worker& w) {
  std::string path = w.known_path();
  w.about({AT_FDCWD, path});
  struct stat found;
  if (!w.step("stat", stat(path.c_str(), &found))) return;
  off_t after = w.rng().chance(15) ? 0 : w.offset(std::max<off_t>(found.st_size, 0));
  w.detail("from %lld to %lld", static_cast<long long>(found.st_size), static_cast<long long>(after));
  if (!w.step("truncate", truncate(path.c_str(), after)) || !w.verifying()) return;
  w.expect(stat(path.c_str(), &found) == 0 && found.st_size == after, "size after truncate");
}

inline void op_fallocate(Worker& w) {
  static constexpr int kModes[] = {0,
                                   FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_ZERO_RANGE,
                                   FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
  std::optional<Handle> h = w.take(kWrite | kFile);
  if (!h) return;
  off_t before = w.size_of(h->fd);
  off_t at = w.offset(before);
  off_t size = static_cast<off_t>(w.length());
  int mode = w.rng().pick(kModes);
  if (w.rng().chance(30)) {
    at &= ~off_t{4095};
    size = (size + 4095) & ~off_t{4095};
  }
  w.detail("mode %d offset %lld length %lld size %lld", mode, static_cast<long long>(at), static_cast<long long>(size),
           static_cast<long long>(before));
  if (!w.step("fallocate", fallocate(h->fd, mode, at, size))) return;
  off_t after = (mode & FALLOC_FL_KEEP_SIZE) != 0 ? before : std::max(before, at + size);
  check_size(w, h->fd, after, "size after fallocate");
  bool zeroes = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  check_zeros(w, *h, zeroes ? at : before, std::min(after, at + size), "content after fallocate");
}

// What a copy should bring: the source as it was, read before. The copy must not overlap it.
inline void check_copy(Worker& w, const Handle& to, off_t at, off_t before, ssize_t copied, ssize_t known) {
  if (!w.verifying()) return;
  check_size(w, to.fd, std::max(before, copied > 0 ? at + copied : 0), "size after a copy");
  if (known >= copied) check_content(w, to, at, w.out(), copied, "content after a copy");
}

inline void op_copy_range(Worker& w) {
  std::optional<Handle> from = w.take(kRead | kFile);
  if (!from) return;
  std::optional<Handle> to = w.take(kWrite | kFile | kNoAppend);
  if (!to) return;
  w.about({AT_FDCWD, from->path}, {AT_FDCWD, to->path});
  off_t source = static_cast<off_t>(w.rng().below(static_cast<uint64_t>(w.size_of(from->fd)) + 1));
  off_t before = w.size_of(to->fd);
  off_t at = w.offset(before);
  size_t size = w.length();
  w.detail("from %lld to %lld length %zu", static_cast<long long>(source), static_cast<long long>(at), size);
  ssize_t known = w.verifying() ? pread(from->fd, w.out(), size, source) : 0;
  off_t source_at = source;
  off_t target_at = at;
  ssize_t copied = copy_file_range(from->fd, &source_at, to->fd, &target_at, size, 0);
  if (w.step("copy_file_range", copied)) check_copy(w, *to, at, before, copied, known);
}

inline void op_sendfile(Worker& w) {
  std::optional<Handle> from = w.take(kRead | kFile);
  if (!from) return;
  std::optional<Handle> to = w.take(kWrite | kFile | kNoAppend);
  if (!to) return;
  w.about({AT_FDCWD, from->path}, {AT_FDCWD, to->path});
  struct stat source_stat;
  struct stat target_stat;
  if (!w.step("fstat", fstat(from->fd, &source_stat)) || !w.step("fstat", fstat(to->fd, &target_stat))) return;
  off_t source = static_cast<off_t>(w.rng().below(static_cast<uint64_t>(source_stat.st_size) + 1));
  off_t at = w.offset(target_stat.st_size);
  size_t size = w.length();
  w.detail("from %lld to %lld length %zu", static_cast<long long>(source), static_cast<long long>(at), size);
  if (!w.step("lseek", lseek(to->fd, at, SEEK_SET))) return;
  // Within one file it may read what it wrote: nothing to compare with.
  bool same = source_stat.st_ino == target_stat.st_ino;
  ssize_t known = w.verifying() && !same ? pread(from->fd, w.out(), size, source) : 0;
  off_t source_at = source;
  ssize_t copied = sendfile(to->fd, from->fd, &source_at, size);
  if (w.step("sendfile", copied)) check_copy(w, *to, at, target_stat.st_size, copied, same ? -1 : known);
}

inline void op_fsync(Worker& w) {
  std::optional<Handle> h = w.take(kAny);
  if (h) w.sync_step("fsync", [&] { return fsync(h->fd); });
}

inline void op_fdatasync(Worker& w) {
  std::optional<Handle> h = w.take(kAny);
  if (h) w.sync_step("fdatasync", [&] { return fdatasync(h->fd); });
}

inline void op_syncfs(Worker& w) {
  std::optional<Handle> h = w.take(kAny);
  if (h) w.step("syncfs", syncfs(h->fd));
}

}  // namespace tfs::support
