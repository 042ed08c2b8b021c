// What has come of a change, as the store tells it. Where it does not, the stream has a GAP: no mirror is exact without the change.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>

#include "lib/journal/filesystem.h"

namespace tfs::journal {

bool has_none(int error) {
  return error == ENODATA || error == EOPNOTSUPP || error == ENOTTY || error == EINVAL || error == ENOSYS;
}

int Filesystem::lost(int error) {
  Recorder::Section(recorder_).put_loss();
  return error;
}

int Filesystem::read_back(int fd, struct stat& st) { return ::fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 ? 0 : lost(errno); }

format::Time Filesystem::read_back_mtime(int fd) {
  struct stat st {};
  return read_back(fd, st) == 0 ? to_time(st.st_mtim) : format::Time();
}

// Nothing where the filesystem has none.
std::optional<format::SetFlags> Filesystem::read_back_flags(int fd) {
  format::SetFlags record;
  record.valid = format::kFlagsInode;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &record.inode_flags) == 0) return record;
  if (!has_none(errno)) lost(errno);
  return {};
}

// As [xattrs].
std::vector<std::byte> Filesystem::read_back_acls(GetXattr* get, const char* path, std::initializer_list<const char*> names) {
  std::vector<std::byte> out, value(format::kMaxXattrValue);
  for (const char* name : names) {
    ssize_t n = get(path, name, value.data(), value.size());
    if (n < 0 && !has_none(errno)) lost(errno);
    if (n > 0) format::append_xattr(name, ByteView(value).first(static_cast<size_t>(n)), out);
  }
  return out;
}

}  // namespace tfs::journal
