// Operations on names: making, removing, moving and joining them.
#pragma once

#include <dirent.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "tests/support/random_ops_judgement.h"
#include "tests/support/random_ops_worker.h"

namespace tfs::support {

inline bool stat_at(const Place& place, struct stat* found) {
  return fstatat(place.dir, place.c_str(), found, AT_SYMLINK_NOFOLLOW) == 0;
}

// Owner, group and mode of what was just made. With a default ACL on the directory the mode is the ACL's business.
inline void check_new(Worker& w, const Place& where, mode_t type, mode_t asked) {
  if (!w.verifying()) return;
  struct stat made;
  struct stat above;
  Place parent = where.parent();
  w.expect(stat_at(where, &made) && fstatat(parent.dir, parent.c_str(), &above, 0) == 0, "what was made is not there");
  w.expect((made.st_mode & S_IFMT) == type, "type of what was made");
  w.expect(made.st_uid == geteuid(), "owner of what was made");
  w.expect((above.st_mode & S_ISGID) == 0 || made.st_gid == above.st_gid, "group of what was made");
  bool plain = parent.by_path() && getxattr(parent.c_str(), "system.posix_acl_default", nullptr, 0) < 0;
  if (plain && type != S_IFLNK) w.expect((made.st_mode & 0777) == (asked & ~w.umask_now() & 0777), "mode of what was made");
}

inline void check_gone(Worker& w, const Place& where) {
  struct stat found;
  if (w.verifying()) w.expect(!stat_at(where, &found) && errno == ENOENT, "what was removed is still there");
}

inline int access_mode(Worker& w) {
  static constexpr int kAccess[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
  return w.rng().pick(kAccess);
}

inline void op_create(Worker& w) {
  static constexpr int kHow[] = {O_EXCL, O_EXCL, 0, O_TRUNC, O_TRUNC | O_APPEND, O_APPEND};
  Place where = w.place();
  int how = w.rng().pick(kHow);
  // Without O_EXCL the name may be that of a FIFO.
  int flags = O_CREAT | access_mode(w) | how | (how == O_EXCL ? 0 : O_NONBLOCK) | O_CLOEXEC;
  mode_t mode = w.mode();
  w.about(where);
  w.detail("flags %#o mode %#o", flags, mode);
  int fd = openat(where.dir, where.c_str(), flags, mode);
  if (!w.step("open", fd)) return;
  w.remember(where);
  if (how == O_EXCL) check_new(w, where, S_IFREG, mode);
  if (w.keep(fd, flags & ~O_NONBLOCK, where.path) && w.verifying() && (how & (O_EXCL | O_TRUNC)) != 0) {
    w.expect(w.size_of(fd) == 0, "size of a new file");
  }
}

inline void op_open(Worker& w) {
  static constexpr int kMore[] = {0, 0, 0, 0, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_NOATIME, O_DSYNC};
  Place where = w.known_place();
  int flags = access_mode(w) | w.rng().pick(kMore) | O_NONBLOCK | O_CLOEXEC;
  if (!w.settings().alone()) flags &= ~O_DSYNC;  // its writes sync: see sync_step
  w.about(where);
  w.detail("flags %#o", flags);
  int fd = openat(where.dir, where.c_str(), flags);
  if (w.step("open", fd)) w.keep(fd, flags, where.path);
}

inline void op_open_directory(Worker& w) {
  std::string path = w.directory();
  int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  w.about({AT_FDCWD, path});
  int fd = open(path.c_str(), flags);
  if (w.step("open", fd)) w.keep(fd, flags, path);
}

inline void op_close(Worker& w) { w.close_one(); }

inline void op_mkdir(Worker& w) {
  static constexpr mode_t kModes[] = {0777, 0777, 0777, 0755, 0775, 0700, 01777};
  Place where = w.rng().chance(80) ? w.place_for_directory() : w.place();
  mode_t mode = w.rng().pick(kModes);
  w.about(where);
  w.detail("mode %#o", mode);
  if (!w.step("mkdir", mkdirat(where.dir, where.c_str(), mode))) return;
  w.remember(where);
  w.remember_directory(where);
  check_new(w, where, S_IFDIR, mode);
}

inline void op_rmdir(Worker& w) {
  Place where = w.rng().chance(50) ? w.known_place() : Place{AT_FDCWD, w.directory()};
  w.about(where);
  if (w.step("rmdir", unlinkat(where.dir, where.c_str(), AT_REMOVEDIR))) check_gone(w, where);
}

inline void op_unlink(Worker& w) {
  Place where = w.known_place();
  w.about(where);
  if (w.step("unlink", unlinkat(where.dir, where.c_str(), 0))) check_gone(w, where);
}

// The two ends of a rename, held by their directories: a path may lead elsewhere when one of its symlinks has moved.
struct Ends {
  Place from;
  Place to;
  struct stat from_stat = {};
  struct stat to_stat = {};
  bool to_there = false;
};

inline bool hold(const Place& place, Place* held) {
  Place parent = place.parent();
  held->dir = openat(parent.dir, parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  size_t slash = place.path.rfind('/');
  held->path = slash == std::string::npos ? place.path : place.path.substr(slash + 1);
  return held->dir >= 0;
}

inline void check_renamed(Worker& w, const Ends& ends, unsigned flags) {
  struct stat from;
  struct stat to;
  bool from_there = stat_at(ends.from, &from);
  w.expect(stat_at(ends.to, &to), "the new name is not there");
  bool same = ends.to_there && ends.from_stat.st_ino == ends.to_stat.st_ino;
  w.expect(to.st_ino == ends.from_stat.st_ino, "the new name is another object");
  if (same) {
    w.expect(from_there, "two names of one object, and one has gone");
  } else if ((flags & RENAME_EXCHANGE) != 0) {
    w.expect(from_there && from.st_ino == ends.to_stat.st_ino, "exchanged, but not both");
  } else if ((flags & RENAME_WHITEOUT) != 0) {
    w.expect(from_there && S_ISCHR(from.st_mode) && from.st_rdev == 0, "no whiteout at the old name");
  } else {
    w.expect(!from_there, "the old name is still there");
  }
}

inline void remember_renamed(Worker& w, const Place& to) {
  struct stat found;
  w.remember(to);
  if (stat_at(to, &found) && S_ISDIR(found.st_mode)) w.remember_directory(to);
}

inline void rename_with(Worker& w, unsigned flags) {
  Place from = w.known_place();
  Place to = w.place();
  w.about(from, to);
  Ends ends;
  bool checked = w.verifying() && hold(from, &ends.from) && hold(to, &ends.to) && stat_at(ends.from, &ends.from_stat);
  if (checked) ends.to_there = stat_at(ends.to, &ends.to_stat);
  bool done = w.step("rename", renameat2(from.dir, from.c_str(), to.dir, to.c_str(), flags));
  if (done) remember_renamed(w, to);
  if (done && w.verifying()) {
    w.expect(checked, "renamed what was not there");
    check_renamed(w, ends, flags);
  }
  if (ends.from.dir >= 0) w.close_fd(ends.from.dir);
  if (ends.to.dir >= 0) w.close_fd(ends.to.dir);
}

inline void op_rename(Worker& w) { rename_with(w, 0); }
inline void op_rename_noreplace(Worker& w) { rename_with(w, RENAME_NOREPLACE); }
inline void op_rename_exchange(Worker& w) { rename_with(w, RENAME_EXCHANGE); }
inline void op_rename_whiteout(Worker& w) { rename_with(w, RENAME_WHITEOUT); }

inline void op_link(Worker& w) {
  Place from = w.known_place();
  Place to = w.place();
  w.about(from, to);
  struct stat before;
  struct stat after;
  bool there = w.verifying() && stat_at(from, &before);
  if (!w.step("link", linkat(from.dir, from.c_str(), to.dir, to.c_str(), 0))) return;
  w.remember(to);
  if (!w.verifying()) return;
  w.expect(there && stat_at(to, &after) && after.st_ino == before.st_ino, "the link is another object");
  w.expect(after.st_nlink == before.st_nlink + 1, "link count after link");
}

// Most dangle or lead to other objects of the tree. Those that could lead out of it are only made where the process is
// confined to it.
inline std::string symlink_target(Worker& w) {
  uint64_t how = w.rng().below(100);
  if (how < 8) return std::string(w.rng().between(100, 4095), 'l');
  if (how < 25 && w.outside().confined) return (how < 16 ? "../" : "/") + w.path();
  if (how < 30 && w.outside().confined) return w.rng().chance(50) ? "." : "..";
  return how < 60 ? w.name() : w.path();
}

inline void op_symlink(Worker& w) {
  Place where = w.place();
  std::string target = symlink_target(w);
  w.about(where);
  w.detail("to %zu bytes: %.60s", target.size(), escaped(target).c_str());
  if (!w.step("symlink", symlinkat(target.c_str(), where.dir, where.c_str()))) return;
  w.remember(where);
  check_new(w, where, S_IFLNK, 0777);
  if (!w.verifying()) return;
  ssize_t size = readlinkat(where.dir, where.c_str(), w.in(), 8192);
  w.expect(size >= 0 && std::string(w.in(), static_cast<size_t>(size)) == target, "target of a new symlink");
}

// No driver can ever own these numbers (they end at 511), so opening such a node reaches no device.
inline dev_t harmless_device(Worker& w) {
  unsigned major_number = static_cast<unsigned>(w.rng().between(600, 4095));
  return makedev(major_number, static_cast<unsigned>(w.rng().below(1 << 20)));
}

inline void op_mknod(Worker& w) {
  static constexpr mode_t kTypes[] = {S_IFIFO, S_IFIFO, S_IFCHR, S_IFCHR, S_IFBLK, S_IFSOCK, S_IFREG};
  Place where = w.place();
  mode_t type = w.rng().pick(kTypes);
  mode_t mode = w.mode();
  dev_t device = 0;
  if (type == S_IFBLK || (type == S_IFCHR && w.rng().chance(50))) device = harmless_device(w);
  w.about(where);
  w.detail("mode %#o device %#lx", type | mode, static_cast<unsigned long>(device));
  if (!w.step("mknod", mknodat(where.dir, where.c_str(), type | mode, device))) return;
  w.remember(where);
  check_new(w, where, type, mode);
  struct stat made;
  if (w.verifying()) w.expect(stat_at(where, &made) && made.st_rdev == device, "device number of what was made");
}

// A chain of directories, deeper than other paths reach; mostly taken down again.
inline void op_chain(Worker& w) {
  std::vector<std::string> made;
  std::string path = w.directory();
  for (uint64_t depth = w.rng().between(2, 24); depth > 0; depth--) {
    path += "/" + w.name();
    w.about({AT_FDCWD, path});
    if (mkdir(path.c_str(), 0777) == 0) {
      made.push_back(path);
    } else if (errno != EEXIST) {
      w.step("mkdir", -1);
      break;
    }
  }
  bool leave = w.rng().chance(20);
  if (made.empty()) return;
  if (leave) return w.remember_directory({AT_FDCWD, made.back()}, 30);
  for (size_t i = made.size(); i-- > 0;) {
    w.about({AT_FDCWD, made[i]});
    w.step("rmdir", rmdir(made[i].c_str()));
  }
}

// All names in a directory, in the order of their bytes: what a file system says first must not steer a run.
inline std::vector<std::string> names_in(Worker& w, int fd) {
  std::vector<std::string> names;
  alignas(dirent64) char buffer[16384];
  for (;;) {
    ssize_t got = getdents64(fd, buffer, sizeof buffer);
    if (!w.step("getdents64", got) || got == 0) break;
    for (ssize_t at = 0; at < got;) {
      const dirent64* entry = reinterpret_cast<const dirent64*>(buffer + at);
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      at += entry->d_reclen;
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline void remove_tree(Worker& w, int dir, const std::string& name, int levels) {
  if (unlinkat(dir, name.c_str(), 0) == 0) return;
  if (errno != EISDIR && errno != EPERM) {
    w.step("unlink", -1);
    return;
  }
  int fd = openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (!w.step("open", fd)) return;
  if (levels > 0) {
    for (const std::string& inner : names_in(w, fd)) remove_tree(w, fd, inner, levels - 1);
  }
  w.close_fd(fd);
  w.step("rmdir", unlinkat(dir, name.c_str(), AT_REMOVEDIR));
}

inline void op_remove_tree(Worker& w) {
  static constexpr int kLevels = 200;
  Place where = w.known_place();
  w.about(where);
  remove_tree(w, where.dir, where.path, kLevels);
}

}  // namespace tfs::support
