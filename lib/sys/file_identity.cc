#include "lib/sys/file_identity.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>

namespace tfs::sys {
namespace {

bool is_on(int fd, long magic) {
  struct statfs about;
  return ::fstatfs(fd, &about) == 0 && about.f_type == magic;
}

}  // namespace

FileIdentity identity_of(int fd) {
  FileIdentity id;
  struct statx about {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &about) == 0 && (about.stx_mask & STATX_BTIME)) {
    id.born_sec = about.stx_btime.tv_sec;
    id.born_nsec = about.stx_btime.tv_nsec;
  }
  // FUSE makes handles of numbers that its server gives out anew with each mount.
  union {
    file_handle head;
    char room[sizeof(file_handle) + FileIdentity::kMaxHandle];
  } buffer;
  buffer.head.handle_bytes = FileIdentity::kMaxHandle;
  int mount;
  if (!is_on(fd, FUSE_SUPER_MAGIC) && ::name_to_handle_at(fd, "", &buffer.head, &mount, AT_EMPTY_PATH) == 0) {
    id.handle_size = buffer.head.handle_bytes;
    id.handle_type = buffer.head.handle_type;
    std::copy_n(buffer.head.f_handle, id.handle_size, id.handle);
  }
  return id;
}

void settle_identity(int fd) {
  struct stat about;
  if (is_on(fd, OVERLAYFS_SUPER_MAGIC) && ::fstat(fd, &about) == 0) ::fchmod(fd, about.st_mode & 07777);
}

bool FileIdentity::differs_from(const FileIdentity& other) const {
  if (born_sec != 0 && other.born_sec != 0 && (born_sec != other.born_sec || born_nsec != other.born_nsec)) return true;
  if (handle_size == 0 || other.handle_size == 0) return false;
  return handle_type != other.handle_type ||
         !std::equal(handle, handle + handle_size, other.handle, other.handle + other.handle_size);
}

}  // namespace tfs::sys
