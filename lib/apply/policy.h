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
  // a filesystem and its user, and mean nothing, or something else, on another one.
  bool carries(std::string_view xattr) const {
    if (!sets_xattrs) return false;
    if (xattr.starts_with("trusted.SGI_ACL_")) return false;  // xfs shows an ACL once more by this name
    if (xattr.starts_with("trusted.") || xattr.starts_with("security.")) return sets_privileged_xattrs;
    return xattr.starts_with("user.") || xattr.starts_with("system.posix_acl_");
  }

  // The type that an object has in the mirror. A whiteout is no device: everyone may make it.
  mode_t type_of(uint32_t mode, uint32_t major, uint32_t minor) const {
    bool is_whiteout = S_ISCHR(mode) && major == 0 && minor == 0;
    bool stands_in = (S_ISCHR(mode) || S_ISBLK(mode)) && !is_whiteout && !makes_devices;
    return stands_in ? mode_t{S_IFREG} : mode & S_IFMT;
  }
};

}  // namespace tfs::apply
