// What a mirror leaves out, because the user said so by name. Nothing is left out in silence.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string_view>

namespace tfs::apply {

struct Policy {
  bool sets_owner = true;              // --no-owner
  bool makes_devices = true;           // --no-special: an empty file stands in for each device, so that later frames find it
  bool sets_xattrs = true;             // --no-xattr: none at all, and no ACLs
  bool sets_privileged_xattrs = true;  // --no-privileged-xattr: not those of trusted. and security.
  bool sets_flags = true;              // --no-flags: not the inode flags of chattr(1)
  bool keeps_times = true;             // --coarse-times: as near as the filesystem can
  bool trusts_mtime = false;           // --trust-mtime: files of equal size and mtime are equal
  bool syncs = false;                  // --sync: fsync where the source did

  // Which extended attributes are those of the mirror. Of other namespaces (btrfs.compression, system.nfs4_acl) they are a matter between
  // a filesystem and its user, and mean nothing, or something else, on another one. What has no namespace is refused by the kernel.
  bool carries(std::string_view xattr) const {
    if (!sets_xattrs || is_of_the_kernel(xattr)) return false;
    if (xattr.starts_with("trusted.") || xattr.starts_with("security.")) return sets_privileged_xattrs;
    return xattr.starts_with("user.") || xattr.starts_with("system.posix_acl_") || xattr.find('.') == xattr.npos;
  }

  // What a kernel gives to files by its own policy, and no frame tells of; and an ACL, once more, as xfs shows it.
  static bool is_of_the_kernel(std::string_view xattr) {
    return xattr == "security.selinux" || xattr.starts_with("security.SMACK64") || xattr == "security.ima" ||
           xattr == "security.evm" || xattr.starts_with("trusted.SGI_ACL_");
  }

  // The type that an object has in the mirror. A whiteout is no device: everyone may make it.
  mode_t type_of(uint32_t mode, uint32_t major, uint32_t minor) const {
    bool is_whiteout = S_ISCHR(mode) && major == 0 && minor == 0;
    bool stands_in = (S_ISCHR(mode) || S_ISBLK(mode)) && !is_whiteout && !makes_devices;
    return stands_in ? mode_t{S_IFREG} : mode & S_IFMT;
  }
};

}  // namespace tfs::apply
