// Operations that change nothing but what the kernel has cached.
#pragma once

#include <dirent.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <cstdint>
#include <set>

#include "tests/support/random_ops_io.h"
#include "tests/support/random_ops_names.h"
#include "tests/support/random_ops_worker.h"

namespace tfs::support {

inline void op_read(Worker& w) {
  std::optional<Handle> h = w.take(kRead | kFile);
  if (!h) return;
  off_t size = w.size_of(h->fd);
  off_t at = w.offset(size);
  size_t length = w.length();
  w.detail("offset %lld length %zu", static_cast<long long>(at), length);
  ssize_t got = pread(h->fd, w.in(), length, at);
  if (!w.step("pread", got) || !w.verifying()) return;
  w.expect(got == std::max<off_t>(0, std::min<off_t>(static_cast<off_t>(length), size - at)), "bytes that a read brought");
}

inline void op_seek(Worker& w) {
  std::optional<Handle> h = w.take(kRead | kFile);
  if (!h) return;
  off_t size = w.size_of(h->fd);
  off_t at = static_cast<off_t>(w.rng().below(static_cast<uint64_t>(size) + 1));
  off_t position = lseek(h->fd, 0, SEEK_CUR);
  off_t hole = lseek(h->fd, at, SEEK_HOLE);
  bool found_hole = w.step("lseek SEEK_HOLE", hole);
  off_t data = lseek(h->fd, at, SEEK_DATA);
  bool found_data = w.step("lseek SEEK_DATA", data);
  // Where holes are is the file system's choice, and must not decide where the next write goes.
  w.step("lseek", lseek(h->fd, position, SEEK_SET));
  if (!w.verifying()) return;
  if (found_hole) w.expect(hole >= at && hole <= size, "place of a hole");
  if (found_data) w.expect(data >= at && data < size, "place of data");
}

inline void op_stat(Worker& w) {
  Place where = w.known_place();
  w.about(where);
  struct stat found;
  int flags = w.rng().chance(50) ? AT_SYMLINK_NOFOLLOW : 0;
  if (!w.step("stat", fstatat(where.dir, where.c_str(), &found, flags))) return;
  struct statx more;
  if (w.step("statx", statx(where.dir, where.c_str(), flags, STATX_BASIC_STATS | STATX_BTIME, &more)) && w.verifying()) {
    w.expect(more.stx_ino == found.st_ino && more.stx_mode == found.st_mode, "stat and statx differ");
  }
  w.step("access", faccessat(where.dir, where.c_str(), w.rng().chance(50) ? R_OK : R_OK | W_OK, 0));
}

inline void op_readlink(Worker& w) {
  Place where = w.known_place();
  w.about(where);
  w.step("readlink", readlinkat(where.dir, where.c_str(), w.in(), 8192));
}

inline void op_statfs(Worker& w) {
  std::string path = w.directory();
  w.about({AT_FDCWD, path});
  struct statfs found;
  w.step("statfs", statfs(path.c_str(), &found));
}

// Each name once, and what the directory says of an object agrees with what the object says.
inline void check_entry(Worker& w, int dir, const dirent64& entry) {
  struct stat found;
  w.expect(fstatat(dir, entry.d_name, &found, AT_SYMLINK_NOFOLLOW) == 0, "a name that is listed and not there");
  w.expect(found.st_ino == entry.d_ino, "inode number in the directory and of the object");
  w.expect(entry.d_type == DT_UNKNOWN || entry.d_type == IFTODT(found.st_mode), "type in the directory and of the object");
}

inline void op_readdir(Worker& w) {
  std::optional<Handle> h = w.take(kDirectory);
  if (!h || !w.step("lseek", lseek(h->fd, 0, SEEK_SET))) return;
  std::set<std::string> seen;
  alignas(dirent64) char buffer[4096];
  for (;;) {
    ssize_t got = getdents64(h->fd, buffer, sizeof buffer);
    if (!w.step("getdents64", got) || got == 0) return;
    for (ssize_t at = 0; at < got;) {
      const dirent64* entry = reinterpret_cast<const dirent64*>(buffer + at);
      at += entry->d_reclen;
      if (std::string(entry->d_name) == "." || std::string(entry->d_name) == "..") continue;
      if (w.verifying()) {
        w.expect(seen.insert(entry->d_name).second, "a name that is listed twice");
        check_entry(w, h->fd, *entry);
        continue;
      }
      struct stat found;
      w.step("stat", fstatat(h->fd, entry->d_name, &found, AT_SYMLINK_NOFOLLOW));
    }
  }
}

// Opens and reads what it finds, to the given number of objects.
inline void visit(Worker& w, int dir, const std::string& name, int* left) {
  if (--*left < 0) return;
  struct stat found;
  if (!w.step("stat", fstatat(dir, name.c_str(), &found, AT_SYMLINK_NOFOLLOW))) return;
  if (S_ISLNK(found.st_mode)) {
    w.step("readlink", readlinkat(dir, name.c_str(), w.in(), 8192));
    return;
  }
  if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode)) return;
  int fd = openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (!w.step("open", fd)) return;
  w.step("listxattr", flistxattr(fd, w.in(), 65536));
  // Another thread may have put something else there meanwhile.
  if (w.step("fstat", fstat(fd, &found)) && S_ISDIR(found.st_mode)) {
    for (const std::string& inner : names_in(w, fd)) visit(w, fd, inner, left);
  } else if (S_ISREG(found.st_mode)) {
    w.step("pread", pread(fd, w.in(), 256 << 10, 0));
    w.step("pread", pread(fd, w.in(), 64 << 10, std::max<off_t>(0, found.st_size - (64 << 10))));
  }
  w.close_fd(fd);
}

inline void op_walk(Worker& w) {
  int left = 200;
  std::string path = w.directory();
  w.about({AT_FDCWD, path});
  visit(w, AT_FDCWD, path, &left);
}

}  // namespace tfs::support
