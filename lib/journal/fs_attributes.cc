// The operations that change attributes.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/journal/filesystem.h"
#include "lib/journal/fuse_bits.h"
#include "lib/journal/request_context.h"
#include "lib/sys/io.h"

namespace tfs::journal {
namespace {

timespec time_for(int valid, int set, int now, const timespec& value) {
  if (valid & now) return {0, UTIME_NOW};
  if (valid & set) return value;
  return {0, UTIME_OMIT};
}

bool is_acl(std::string_view name) { return name.starts_with("system.posix_acl_"); }

}  // namespace

// ftruncate(2) and O_TRUNC set mtime always; truncate(2), which comes without a handle, leaves that to the filesystem. O_TRUNC has
// no handle here either, but its size is 0.
int Filesystem::truncate(Node& target, int fd, const AttributeChange& change) {
  off_t size = change.values.st_size;
  bool is_by_path = change.handle == nullptr && size != 0;
  sys::Fd opened;
  if (change.handle == nullptr && !is_by_path) {
    fd = store_.open_node(target, O_WRONLY | O_NONBLOCK);
    if (fd < 0) return -fd;
    opened = sys::Fd(fd);
  }
  struct stat st;
  bool may_take = change.kills_set_id || always_loses_set_id();
  bool takes_bits = may_take && (::fstat(fd, &st) != 0 || (st.st_mode & (S_ISUID | S_ISGID)) != 0);
  int error = 0;
  {
    WithoutFsetid without(takes_bits);
    if ((is_by_path ? ::truncate(ProcPath(fd).text, size) : ::ftruncate(fd, size)) != 0) error = failed(target, fd, takes_bits);
  }
  if (error != 0 && !may_have_begun(error)) return error;
  if (int unread = read_back(fd, st)) return unread;
  if (error == 0 || st.st_size == size) put_size(target, st, takes_bits ? st.st_mode : 0);
  return error;
}

// Mode, owner and times, in this order, as the kernel means them; each that has happened is recorded even where the next fails. `st`
// is what it comes to.
int Filesystem::change_mode_and_owner(Node& target, int fd, const AttributeChange& change, struct stat& st) {
  format::SetAttr record;
  int error = 0;
  if (change.valid & kFuseSetMode) {
    error = sys::change_mode(fd, change.values.st_mode & 07777);
    if (error == 0) record.valid |= format::kSetMode;
  }
  if (error == 0 && (change.valid & (kFuseSetUid | kFuseSetGid))) {
    uid_t uid = change.valid & kFuseSetUid ? change.values.st_uid : static_cast<uid_t>(-1);
    gid_t gid = change.valid & kFuseSetGid ? change.values.st_gid : static_cast<gid_t>(-1);
    error = ::fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
    // chown takes set-id bits away: the mode afterwards belongs to the effect.
    if (error == 0) record.valid |= format::kSetMode | format::kSetUid | format::kSetGid;
  }
  constexpr int kTimes = kFuseSetAtime | kFuseSetMtime | kFuseSetAtimeNow | kFuseSetMtimeNow;
  if (error == 0 && (change.valid & kTimes)) {
    timespec times[2] = {time_for(change.valid, kFuseSetAtime, kFuseSetAtimeNow, change.values.st_atim),
                         time_for(change.valid, kFuseSetMtime, kFuseSetMtimeNow, change.values.st_mtim)};
    error = ::utimensat(fd, "", times, AT_EMPTY_PATH) == 0 ? 0 : errno;
    if (error == 0 && times[0].tv_nsec != UTIME_OMIT) record.valid |= format::kSetAtime;
    if (error == 0 && times[1].tv_nsec != UTIME_OMIT) record.valid |= format::kSetMtime;
  }
  if (record.valid == 0 && error != 0) return error;
  if (record.valid == 0) return ::fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 ? 0 : errno;
  if (int unread = read_back(fd, st)) return unread;
  if (S_ISLNK(st.st_mode)) record.valid &= ~format::kSetMode;
  record.mode = st.st_mode;
  record.uid = st.st_uid;
  record.gid = st.st_gid;
  record.atime = to_time(st.st_atim);
  record.mtime = to_time(st.st_mtim);
  Recorder::Section section(recorder_);
  record.path = section.path(target, Recorder::paths().first);
  section.put(target.ino, st.st_nlink, record);
  return error;
}

int Filesystem::set_attributes(uint64_t id, const AttributeChange& change, struct stat& out) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  Locked locked(*target);
  if (!table_.is_reachable(*target)) return ESTALE;
  sys::Fd opened;
  int fd = change.handle != nullptr ? change.handle->fd() : store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  if (change.handle == nullptr) opened = sys::Fd(fd);
  if (change.valid & kFuseSetSize) {
    if (int error = truncate(*target, fd, change)) return error;
  }
  return change_mode_and_owner(*target, fd, change, out);
}

void Filesystem::put_mode(Node& target, int fd, mode_t mode_before) {
  struct stat st;
  if (read_back(fd, st) != 0 || st.st_mode == mode_before) return;
  stale_attributes_(target.id);
  format::SetAttr record;
  record.valid = format::kSetMode;
  record.mode = st.st_mode;
  Recorder::Section section(recorder_);
  record.path = section.path(target, Recorder::paths().first);
  section.put(target.ino, st.st_nlink, record);
}

// With the node locked and the change made.
void Filesystem::put_xattr(Node& target, int fd, const char* name, const ByteView* value, mode_t mode_before) {
  struct stat st {};
  uint32_t mode = 0;
  if (is_acl(name) && read_back(fd, st) == 0 && st.st_mode != mode_before) {
    mode = st.st_mode;
    stale_attributes_(target.id);
  }
  if (is_acl(name)) target.default_acl.store(0);
  Recorder::Section section(recorder_);
  std::string_view path = section.path(target, Recorder::paths().first);
  if (value != nullptr) {
    section.put(target.ino, 0, format::SetXattr{mode, path, name, *value});
  } else {
    section.put(target.ino, 0, format::RemoveXattr{mode, path, name});
  }
}

void Filesystem::put_root() {
  constexpr unsigned kFlags = FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_DIRSYNC_FL;
  Node& root = table_.root();
  std::string_view path = ".";
  sys::Fd fd(store_.open_node(root, O_PATH | O_DIRECTORY));
  struct stat st;
  if (!fd.is_open()) {
    lost(-fd.get());
    return;
  }
  if (read_back(fd.get(), st) != 0) return;
  auto put = [&](const auto& record) {
    Recorder::Room room(recorder_);
    Recorder::Section(recorder_).put(root.ino, st.st_nlink, record);
  };
  put(format::SetAttr{format::kSetMode | format::kSetUid | format::kSetGid | format::kSetMtime, st.st_mode, st.st_uid, st.st_gid,
                      to_time(st.st_atim), to_time(st.st_mtim), path});

  std::vector<char> names(XATTR_LIST_MAX);
  std::vector<std::byte> value(format::kMaxXattrValue);
  ssize_t size = ::listxattr(ProcPath(fd.get()).text, names.data(), names.size());
  if (size < 0 && !has_none(errno)) lost(errno);
  for (const char* at = names.data(); at < names.data() + std::max<ssize_t>(size, 0); at += std::strlen(at) + 1) {
    ssize_t n = ::getxattr(ProcPath(fd.get()).text, at, value.data(), value.size());
    if (n < 0 && !has_none(errno)) lost(errno);
    if (n >= 0) put(format::SetXattr{0, path, at, ByteView(value).first(static_cast<size_t>(n))});
  }

  sys::Fd readable(store_.open_node(root, O_RDONLY | O_DIRECTORY));
  if (!readable.is_open()) lost(-readable.get());
  std::optional<format::SetFlags> flags = readable.is_open() ? read_back_flags(readable.get()) : std::nullopt;
  if (!flags || (flags->inode_flags & kFlags) == 0) return;
  flags->path = path;
  put(*flags);
}

int Filesystem::set_xattr(uint64_t id, const char* name, ByteView value, int flags, bool kills_sgid, gid_t gid) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  Locked locked(*target);
  if (!table_.is_reachable(*target)) return ESTALE;
  int fd = store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  struct stat st {};
  if (is_acl(name) && ::fstatat(fd, "", &st, AT_EMPTY_PATH) != 0) return errno;
  if (std::string_view(name) == kCapability) target->lacks_capability.store(false);
  {
    WithoutFsetid without(kills_sgid);
    AsCaller as(kills_sgid ? Caller{0, gid, 0} : Caller{});
    if (::setxattr(ProcPath(fd).text, name, value.data(), value.size(), flags) != 0 && !was_done_before(errno, EEXIST)) {
      int error = errno;
      if (is_acl(name)) put_mode(*target, fd, st.st_mode);  // the kernel takes the bit first
      return error;
    }
  }
  put_xattr(*target, fd, name, &value, st.st_mode);
  return 0;
}

int Filesystem::remove_xattr(uint64_t id, const char* name) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  Locked locked(*target);
  if (!table_.is_reachable(*target)) return ESTALE;
  int fd = store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  struct stat st {};
  if (is_acl(name) && ::fstatat(fd, "", &st, AT_EMPTY_PATH) != 0) return errno;
  if (::removexattr(ProcPath(fd).text, name) != 0 && !was_done_before(errno, ENODATA)) return errno;
  put_xattr(*target, fd, name, nullptr, st.st_mode);
  return 0;
}

int Filesystem::get_inode_flags(uint64_t id, unsigned long request, void* out) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  int fd = store_.open_node(*target, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  return ::ioctl(fd, request, out) == 0 ? 0 : errno;
}

int Filesystem::set_inode_flags(uint64_t id, unsigned long request, const void* in) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  Locked locked(*target);
  if (!table_.is_reachable(*target)) return ESTALE;
  int fd = store_.open_node(*target, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  if (::ioctl(fd, request, in) != 0) return errno;
  target->gives_flags.store(0);
  format::SetFlags record = read_back_flags(fd).value_or(format::SetFlags());
  fsxattr attributes{};
  if (request == FS_IOC_FSSETXATTR && ::ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0) return lost(errno);
  if (request == FS_IOC_FSSETXATTR) {
    record.valid |= format::kFlagsProject;
    record.project = attributes.fsx_projid;
  }
  Recorder::Section section(recorder_);
  record.path = section.path(*target, Recorder::paths().first);
  section.put(target->ino, 0, record);
  return 0;
}

}  // namespace tfs::journal
