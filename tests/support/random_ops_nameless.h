// Operations on objects that have lost their name, or never had one, and on descriptors that only stand for an object.
#pragma once

#include <cstdint>

#include "tests/support/random_ops_attributes.h"
#include "tests/support/random_ops_io.h"
#include "tests/support/random_ops_worker.h"

namespace tfs::support {

inline void change_through(Worker& w, const Handle& h) {
  switch (w.rng().below(6)) {
    case 0:
    case 1: {
      off_t at = w.offset(w.size_of(h.fd));
      return write_at(w, h, at, w.length());
    }
    case 2: return change_mode(w, h);
    case 3: return set_xattr(w, {h.fd, h.path, true});
    case 4: return set_size(w, h);
    default: w.step("futimens", futimens(h.fd, nullptr));
  }
}

inline void op_unlink_open(Worker& w) {
  Place where = w.place();
  int flags = O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC;
  w.about(where);
  int fd = openat(where.dir, where.c_str(), flags, w.mode());
  if (!w.step("open", fd)) return;
  if (!w.is_regular(fd)) {
    w.refuse();
    return w.close_fd(fd);
  }
  struct stat before;
  struct stat after;
  w.step("fstat", fstat(fd, &before));
  bool gone = w.step("unlink", unlinkat(where.dir, where.c_str(), 0));
  if (w.step("fstat", fstat(fd, &after)) && gone && w.verifying()) {
    // What was unlinked may have been a symlink to the file.
    w.expect(after.st_nlink == before.st_nlink || after.st_nlink + 1 == before.st_nlink, "link count after unlink");
  }
  for (uint64_t more = w.rng().between(1, 4); more > 0; more--) change_through(w, {fd, flags, false, where.path});
  w.keep(fd, flags & ~O_CREAT, where.path);
}

// Gives the object behind a descriptor a (further) name, in one of the two ways that programs use.
inline void link_descriptor(Worker& w, int fd, const Place& to) {
  int done;
  if (w.outside().proc_fd >= 0 && w.rng().chance(60)) {
    done = linkat(w.outside().proc_fd, std::to_string(fd).c_str(), to.dir, to.c_str(), AT_SYMLINK_FOLLOW);
  } else {
    done = linkat(fd, "", to.dir, to.c_str(), AT_EMPTY_PATH);
  }
  if (w.step("linkat of a descriptor", done)) w.remember(to);
}

inline void op_tmpfile(Worker& w) {
  std::string where = w.directory();
  int flags = O_TMPFILE | O_RDWR | O_CLOEXEC;
  bool forever = w.rng().chance(15);  // O_EXCL: it can never be linked
  w.about({AT_FDCWD, where});
  int fd = open(where.c_str(), flags | (forever ? O_EXCL : 0), w.mode());
  if (!w.step("open O_TMPFILE", fd)) return;
  // The place is said as a descriptor: O_TMPFILE contains O_DIRECTORY, and the object is a file.
  Handle h{fd, O_RDWR, false, where + "/(nameless)"};
  for (uint64_t more = w.rng().below(4); more > 0; more--) change_through(w, h);
  if (w.rng().chance(55)) {
    Place to = w.place();
    w.about({AT_FDCWD, h.path}, to);
    link_descriptor(w, fd, to);
  }
  if (w.rng().chance(60)) {
    w.keep(fd, O_RDWR, h.path);
  } else {
    w.close_fd(fd);
  }
}

inline void op_link_descriptor(Worker& w) {
  std::optional<Handle> h = w.take(w.rng().chance(25) ? kOpaque : kFile);
  if (!h) return;
  Place to = w.place();
  w.about({AT_FDCWD, h->path}, to);
  link_descriptor(w, h->fd, to);
}

inline void op_open_path(Worker& w) {
  Place where = w.known_place();
  int flags = O_PATH | O_CLOEXEC | (w.rng().chance(60) ? O_NOFOLLOW : 0);
  w.about(where);
  int fd = openat(where.dir, where.c_str(), flags);
  if (w.step("open O_PATH", fd)) w.keep(fd, flags, where.path);
}

// What can be done with an O_PATH descriptor: also after its object was renamed or removed.
inline void op_use_path(Worker& w) {
  std::optional<Handle> h = w.take(kOpaque);
  if (!h) return;
  std::string self = std::to_string(h->fd);
  int proc = w.outside().proc_fd;
  struct stat found;
  switch (w.rng().below(proc >= 0 ? 7 : 4)) {
    case 0: w.step("fstat", fstat(h->fd, &found)); break;
    case 1: {
      Owner owner = some_owner(w);
      w.step("fchownat", fchownat(h->fd, "", owner.uid, owner.gid, AT_EMPTY_PATH));
      break;
    }
    case 2: w.step("readlinkat", readlinkat(h->fd, "", w.in(), 8192)); break;
    case 3: w.step("stat below", fstatat(h->fd, w.name().c_str(), &found, AT_SYMLINK_NOFOLLOW)); break;
    case 4: {
      int fd = openat(proc, self.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
      if (w.step("open again", fd)) w.keep(fd, O_RDWR, h->path);
      break;
    }
    case 5: w.step("fchmodat", fchmodat(proc, self.c_str(), mode_for(w, h->path), 0)); break;
    default: {
      timespec times[2] = {some_time(w), some_time(w)};
      w.step("utimensat", utimensat(proc, self.c_str(), times, 0));
    }
  }
}

}  // namespace tfs::support
