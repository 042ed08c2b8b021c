// Operations on what an object has beside its content and its names.
#pragma once

#include <linux/fs.h>
#include <linux/xattr.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include <cstdint>
#include <cstring>

#include "tests/support/random_ops_judgement.h"
#include "tests/support/random_ops_worker.h"

namespace tfs::support {

// DIR itself now and then.
inline std::string path_or_root(Worker& w) { return w.rng().chance(3) ? "." : w.known_path(); }

// DIR stays open to all users.
inline mode_t mode_for(Worker& w, const std::string& path) { return path == "." ? 0777 | (w.mode() & 07000) : w.mode(); }

inline void op_chmod(Worker& w) {
  std::string path = path_or_root(w);
  mode_t mode = mode_for(w, path);
  w.about({AT_FDCWD, path});
  w.detail("mode %#o", mode);
  if (!w.step("chmod", chmod(path.c_str(), mode)) || !w.verifying()) return;
  struct stat found;
  w.expect(stat(path.c_str(), &found) == 0 && (found.st_mode & 07777) == mode, "mode after chmod");
}

inline void change_mode(Worker& w, const Handle& h) {
  mode_t mode = mode_for(w, h.path);
  w.detail("mode %#o", mode);
  if (!w.step("fchmod", fchmod(h.fd, mode)) || !w.verifying()) return;
  struct stat found;
  w.expect(fstat(h.fd, &found) == 0 && (found.st_mode & 07777) == mode, "mode after fchmod");
}

inline void op_fchmod(Worker& w) {
  std::optional<Handle> h = w.take(kAny);
  if (h) change_mode(w, *h);
}

struct Owner {
  uint32_t uid;
  uint32_t gid;
};

// UINT32_MAX leaves one alone. Never both: that clears suid and sgid on other file systems, and does not even reach
// FUSE.
inline Owner some_owner(Worker& w) {
  static constexpr uint32_t kIds[] = {0, 0, 1000, 1000, 1001, 1002, 65534, 3000000000, UINT32_MAX, UINT32_MAX};
  Owner owner{w.rng().pick(kIds), w.rng().pick(kIds)};
  if (owner.uid == UINT32_MAX && owner.gid == UINT32_MAX) owner.gid = 1000;
  return owner;
}

inline void check_owner(Worker& w, const struct stat& found, const Owner& owner) {
  w.expect(owner.uid == UINT32_MAX || found.st_uid == owner.uid, "owner after chown");
  w.expect(owner.gid == UINT32_MAX || found.st_gid == owner.gid, "group after chown");
}

inline void op_chown(Worker& w) {
  std::string path = path_or_root(w);
  Owner owner = some_owner(w);
  int flags = w.rng().chance(40) ? AT_SYMLINK_NOFOLLOW : 0;
  w.about({AT_FDCWD, path});
  w.detail("to %u:%u flags %#x", owner.uid, owner.gid, flags);
  if (!w.step("fchownat", fchownat(AT_FDCWD, path.c_str(), owner.uid, owner.gid, flags)) || !w.verifying()) return;
  struct stat found;
  w.expect(fstatat(AT_FDCWD, path.c_str(), &found, flags) == 0, "gone after chown");
  check_owner(w, found, owner);
}

inline void op_fchown(Worker& w) {
  std::optional<Handle> h = w.take(kAny);
  if (!h) return;
  Owner owner = some_owner(w);
  w.detail("to %u:%u", owner.uid, owner.gid);
  if (!w.step("fchown", fchown(h->fd, owner.uid, owner.gid)) || !w.verifying()) return;
  struct stat found;
  w.expect(fstat(h->fd, &found) == 0, "fstat after fchown");
  check_owner(w, found, owner);
}

inline timespec some_time(Worker& w) {
  static constexpr int64_t kSeconds[] = {
      -2145916800 /* 1902 */, -1, 0, 1, 2147483647, 2147483648, 4294967301, 13569465600 /* 2400 */};
  static constexpr long kNanoseconds[] = {0, 1, 123456789, 999999999};
  if (w.rng().chance(15)) return {0, UTIME_NOW};
  if (w.rng().chance(15)) return {0, UTIME_OMIT};
  time_t seconds = w.rng().chance(50) ? w.rng().pick(kSeconds) : static_cast<time_t>(w.rng().below(2000000000));
  return {seconds, w.rng().chance(50) ? w.rng().pick(kNanoseconds) : static_cast<long>(w.rng().below(1000000000))};
}

inline void check_time(Worker& w, const timespec& asked, const timespec& found) {
  if (asked.tv_nsec == UTIME_NOW || asked.tv_nsec == UTIME_OMIT) return;
  w.expect(asked.tv_sec == found.tv_sec && asked.tv_nsec == found.tv_nsec, "time after utimensat");
}

inline void op_utimens(Worker& w) {
  timespec times[2] = {some_time(w), some_time(w)};
  int flags = w.rng().chance(60) ? AT_SYMLINK_NOFOLLOW : 0;
  struct stat found;
  bool done;
  if (w.rng().chance(35)) {
    std::optional<Handle> h = w.take(kAny);
    if (!h) return;
    done = w.step("futimens", futimens(h->fd, times)) && w.step("fstat", fstat(h->fd, &found));
  } else {
    std::string path = path_or_root(w);
    w.about({AT_FDCWD, path});
    done = w.step("utimensat", utimensat(AT_FDCWD, path.c_str(), times, flags)) &&
           w.step("stat", fstatat(AT_FDCWD, path.c_str(), &found, flags));
  }
  w.detail("mtime %lld.%09ld flags %#x", static_cast<long long>(times[1].tv_sec), times[1].tv_nsec, flags);
  if (!done || !w.verifying()) return;
  // The path itself may lead through the symlink, which is a use of it.
  if (!S_ISLNK(found.st_mode)) check_time(w, times[0], found.st_atim);
  check_time(w, times[1], found.st_mtim);
}

// --- extended attributes

inline const std::vector<std::string>& xattr_names() {
  static const std::vector<std::string> names = {
      "user.a",    "user.b",    "user.c d\xff\n", "user." + std::string(250, 'x'),
      "trusted.a", "trusted.b", "security.tfs",   "security.capability",
  };
  return names;
}

// An object's attributes by path (following symlinks or not) or by descriptor.
struct XattrTarget {
  int fd = -1;
  std::string path;
  bool follow = true;

  long set(const char* name, const void* value, size_t size, int flags) const {
    if (fd >= 0) return fsetxattr(fd, name, value, size, flags);
    return follow ? setxattr(path.c_str(), name, value, size, flags) : lsetxattr(path.c_str(), name, value, size, flags);
  }
  long get(const char* name, void* value, size_t size) const {
    if (fd >= 0) return fgetxattr(fd, name, value, size);
    return follow ? getxattr(path.c_str(), name, value, size) : lgetxattr(path.c_str(), name, value, size);
  }
  long remove(const char* name) const {
    if (fd >= 0) return fremovexattr(fd, name);
    return follow ? removexattr(path.c_str(), name) : lremovexattr(path.c_str(), name);
  }
  long list(char* names, size_t size) const {
    if (fd >= 0) return flistxattr(fd, names, size);
    return follow ? listxattr(path.c_str(), names, size) : llistxattr(path.c_str(), names, size);
  }
};

inline std::optional<XattrTarget> xattr_target(Worker& w) {
  if (w.rng().chance(30)) {
    std::optional<Handle> h = w.take(kAny);
    if (!h) return {};
    return XattrTarget{h->fd, h->path, true};
  }
  XattrTarget target{-1, path_or_root(w), w.rng().chance(60)};
  w.about({AT_FDCWD, target.path});
  return target;
}

inline void check_xattr(Worker& w, const XattrTarget& target, const char* name, const std::string& value) {
  if (!w.verifying()) return;
  long size = target.get(name, w.in(), 65536);
  w.expect(size >= 0 && std::string(w.in(), static_cast<size_t>(size)) == value, "value after setxattr");
}

template <typename T>
void put_le(std::string& out, T value) {
  for (size_t i = 0; i < sizeof value; i++) out.push_back(static_cast<char>(value >> (8 * i)));
}

// File capabilities, version 2 (VFS_CAP_REVISION_2): the kernel refuses anything else under this name, and drops the
// attribute when the file is written to.
inline std::string capability_value(Worker& w) {
  std::string value;
  put_le(value, uint32_t{0x02000001});
  for (int word = 0; word < 4; word++) put_le(value, word == 0 ? static_cast<uint32_t>(w.rng().below(1 << 16)) : 0U);
  return value;
}

inline std::string xattr_value(Worker& w) {
  size_t size = w.rng().chance(15) ? 0 : w.rng().log_uniform(4096);
  std::string value(size, 0);
  w.rng().fill(value.data(), size);
  return value;
}

inline void set_xattr(Worker& w, const XattrTarget& target) {
  static constexpr int kFlags[] = {0, 0, 0, 0, XATTR_CREATE, XATTR_REPLACE};
  const std::string& name = xattr_names()[w.rng().below(xattr_names().size())];
  std::string value = name == "security.capability" ? capability_value(w) : xattr_value(w);
  int flags = w.rng().pick(kFlags);
  w.detail("%.20s %zu bytes flags %d", escaped(name).c_str(), value.size(), flags);
  if (!w.step("setxattr", target.set(name.c_str(), value.data(), value.size(), flags))) return;
  check_xattr(w, target, name.c_str(), value);
}

inline void op_setxattr(Worker& w) {
  std::optional<XattrTarget> target = xattr_target(w);
  if (target) set_xattr(w, *target);
}

inline void op_removexattr(Worker& w) {
  static constexpr const char* kAcls[] = {"system.posix_acl_access", "system.posix_acl_default"};
  std::optional<XattrTarget> target = xattr_target(w);
  if (!target) return;
  // The access ACL of DIR stays, as its mode does.
  bool acl = target->path != "." && w.rng().chance(25);
  std::string name = acl ? w.rng().pick(kAcls) : xattr_names()[w.rng().below(xattr_names().size())];
  w.detail("%.30s", escaped(name).c_str());
  if (!w.step("removexattr", target->remove(name.c_str())) || !w.verifying()) return;
  w.expect(target->get(name.c_str(), w.in(), 65536) < 0 && errno == ENODATA, "still there after removexattr");
}

inline void op_getxattr(Worker& w) {
  std::optional<XattrTarget> target = xattr_target(w);
  if (!target) return;
  long size = target->list(w.in(), 65536);
  if (!w.step("listxattr", size)) return;
  std::string names(w.in(), static_cast<size_t>(size));
  for (size_t at = 0; at < names.size(); at += strlen(names.c_str() + at) + 1) {
    const char* name = names.c_str() + at;
    if (w.step("getxattr", target->get(name, w.in(), 65536))) continue;
    if (w.verifying()) w.expect(false, "an attribute that is listed and not there");
  }
}

// --- ACLs: the kernel's binary form (linux/posix_acl_xattr.h), made by hand

inline void put_acl_entry(std::string& acl, uint16_t tag, uint64_t rights, uint32_t id = UINT32_MAX) {
  put_le(acl, tag);
  put_le(acl, static_cast<uint16_t>(rights));
  put_le(acl, id);
}

inline std::string acl_value(Worker& w) {
  enum : uint16_t { kUserObj = 1, kUser = 2, kGroupObj = 4, kGroup = 8, kMask = 0x10, kOther = 0x20 };
  static constexpr uint64_t kRights[] = {7, 7, 7, 6, 5, 4, 0};
  Rng& rng = w.rng();
  std::string acl;
  put_le(acl, uint32_t{2});
  if (rng.chance(8)) return acl;  // no entries: the ACL goes away
  put_acl_entry(acl, kUserObj, rng.pick(kRights));
  bool named = false;
  for (uint32_t id : {1000, 1001, 2000}) {
    if (rng.chance(50)) put_acl_entry(acl, kUser, rng.pick(kRights), id), named = true;
  }
  put_acl_entry(acl, kGroupObj, rng.pick(kRights));
  for (uint32_t id : {1000, 1002}) {
    if (rng.chance(40)) put_acl_entry(acl, kGroup, rng.pick(kRights), id), named = true;
  }
  // Named entries without a mask are not valid.
  if (named != rng.chance(5)) put_acl_entry(acl, kMask, rng.pick(kRights));
  put_acl_entry(acl, kOther, rng.pick(kRights));
  return acl;
}

inline void op_acl(Worker& w) {
  bool wants_default = w.rng().chance(45);
  XattrTarget target{-1, wants_default && w.rng().chance(70) ? w.directory() : w.known_path(), true};
  if (target.path == "." && !wants_default) target.path = "a";
  w.about({AT_FDCWD, target.path});
  if (w.rng().chance(30)) {
    std::optional<Handle> h = w.take(wants_default ? kDirectory : kAny);
    if (!h || h->path == ".") return;
    target.fd = h->fd;
  }
  const char* name = wants_default ? "system.posix_acl_default" : "system.posix_acl_access";
  std::string acl = acl_value(w);
  w.detail("%s %zu bytes", name, acl.size());
  if (!w.step("setxattr", target.set(name, acl.data(), acl.size(), 0))) return;
  // An ACL that says no more than a mode becomes one, and a default ACL without entries goes.
  constexpr size_t kMinimal = 4 + 3 * 8;
  if (acl.size() > kMinimal) check_xattr(w, target, name, acl);
}

// --- flags

// Sets flags and takes them away again: left alone, an append-only file would refuse what comes later. Nothing is
// judged before they are off, for that may end the run. All that may be set are cleared, also those that another thread
// just set: the last to clear leaves none.
inline void op_setflags(Worker& w) {
  static constexpr int kMine = FS_NODUMP_FL | FS_APPEND_FL | FS_NOATIME_FL;
  static constexpr int kSets[] = {FS_NODUMP_FL, FS_APPEND_FL, FS_NOATIME_FL, FS_NODUMP_FL | FS_NOATIME_FL,
                                  FS_APPEND_FL | FS_NODUMP_FL};
  std::string path = w.known_path();
  int set = w.rng().pick(kSets);
  w.about({AT_FDCWD, path});
  w.detail("flags %#x", set);
  int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (!w.step("open", fd)) return;
  int flags = 0;
  if (w.step("FS_IOC_GETFLAGS", ioctl(fd, FS_IOC_GETFLAGS, &flags))) {
    int clear = flags & ~kMine;
    int wanted = clear | set;
    int was_set = ioctl(fd, FS_IOC_SETFLAGS, &wanted) == 0 ? 0 : errno;
    int seen = 0;
    bool shown = ioctl(fd, FS_IOC_GETFLAGS, &seen) == 0 && (seen & kMine) == set;
    int appending = open(path.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC);
    int appended = appending >= 0 && write(appending, "appended", 8) == 8 ? 0 : errno;
    int truncated = truncate(path.c_str(), 1) == 0 ? 0 : errno;
    int was_cleared = ioctl(fd, FS_IOC_SETFLAGS, &clear) == 0 ? 0 : errno;
    if (appending >= 0) w.close_fd(appending);
    if (was_set != 0) w.step_error("FS_IOC_SETFLAGS", was_set);
    if (was_set == 0 && was_cleared != 0) w.step_error("FS_IOC_SETFLAGS to clear", was_cleared);
    if (truncated != 0) w.step_error("truncate", truncated);
    if (appended != 0) w.step_error("write", appended);
    if (w.verifying() && was_set == 0) {
      w.expect(shown, "flags after FS_IOC_SETFLAGS");
      bool only_append = (set & FS_APPEND_FL) != 0;
      w.expect(appended == 0 || appended == EISDIR || appended == ENOSPC, "writing at the end after FS_IOC_SETFLAGS");
      w.expect(!only_append || truncated != 0, "an append-only file was truncated");
    }
  }
  w.close_fd(fd);
}

}  // namespace tfs::support
