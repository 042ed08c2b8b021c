#include "lib/sys/mount_id.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace tfs::sys {
namespace {

constexpr unsigned kMountIdUnique = 0x4000;  // STATX_MNT_ID_UNIQUE of newer headers

}  // namespace

MountId mount_id(int fd) {
  MountId id;
  struct statx about {};
  if (::statx(fd, "", AT_EMPTY_PATH, kMountIdUnique, &about) == 0 && (about.stx_mask & kMountIdUnique))
    id.mount = about.stx_mnt_id;
  struct stat own;
  if (::stat("/proc/self/ns/mnt", &own) == 0) id.mount_namespace = own.st_ino;
  return id;
}

}  // namespace tfs::sys
