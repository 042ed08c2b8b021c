#include "lib/apply/attributes.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "lib/base/escape.h"
#include "lib/format/limits.h"
#include "lib/sys/io.h"

namespace tfs::apply {
namespace {

timespec to_timespec(const format::Time* t) {
  if (t == nullptr) return {0, UTIME_OMIT};
  return {static_cast<time_t>(t->sec), static_cast<long>(t->nsec)};
}

int with_flags(int path_fd, unsigned long request, unsigned int& flags) {
  struct stat st;
  if (::fstat(path_fd, &st) != 0) return errno;
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return ENOTTY;
  sys::Fd fd(::open(proc_path(path_fd).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd.is_open()) return errno;
  return ::ioctl(fd.get(), request, &flags) == 0 ? 0 : errno;
}

}  // namespace

bool is_of_the_disk(int error) {
  return error == EIO || error == EROFS || error == ENOSPC || error == EDQUOT || error == ENOMEM || error == EMFILE ||
         error == ENFILE;
}

int set_mode(int fd, uint32_t mode, Descriptor kind) {
  int error = kind != Descriptor::kOpen ? sys::change_mode(fd, mode & 07777) : ::fchmod(fd, mode & 07777) == 0 ? 0 : errno;
  if (error != 0 || !(mode & S_ISGID)) return error;
  // Of one who is not in the group, and has not CAP_FSETID, the kernel takes the rest and says nothing.
  struct stat st;
  return ::fstat(fd, &st) != 0 ? errno : st.st_mode & S_ISGID ? 0 : EPERM;
}

int set_owner(int fd, uint32_t uid, uint32_t gid, Descriptor kind) {
  if (kind == Descriptor::kOpen) return ::fchown(fd, uid, gid) == 0 ? 0 : errno;
  return ::fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

int set_mtime(int fd, const format::Time& mtime, Descriptor kind) { return set_times(fd, nullptr, &mtime, kind); }

int set_times(int fd, const format::Time* atime, const format::Time* mtime, Descriptor kind) {
  timespec times[] = {to_timespec(atime), to_timespec(mtime)};
  bool is_set = kind == Descriptor::kOpen ? ::futimens(fd, times) == 0 : ::utimensat(fd, "", times, AT_EMPTY_PATH) == 0;
  return is_set ? 0 : errno;
}

std::string setting_xattr(int path_fd, std::string_view name, int error) {
  struct statvfs disk {};
  bool has_room = error == ENOSPC && ::fstatvfs(path_fd, &disk) == 0 && disk.f_bavail * disk.f_frsize > format::kMaxXattrValue;
  std::string words = "set the attribute " + escape(name);
  return words + (has_room ? " (maybe more than the filesystem takes for one object) of" : " of");
}

int get_flags(int path_fd, uint32_t& flags) { return with_flags(path_fd, FS_IOC_GETFLAGS, flags); }

int set_flags(int path_fd, uint32_t flags) { return with_flags(path_fd, FS_IOC_SETFLAGS, flags); }

}  // namespace tfs::apply
