// What a mirror leaves out, because the user said so by name. Nothing is left out in silence.
#pragma once

namespace tfs::apply {

struct Policy {
  bool sets_owner = true;              // --no-owner
  bool makes_devices = true;           // --no-special: an empty file stands in for each device, so that later frames find it
  bool sets_xattrs = true;             // --no-xattr: none at all, and no ACLs
  bool sets_privileged_xattrs = true;  // --no-privileged-xattr: not those of trusted. and security.
  bool sets_flags = true;              // --no-flags: not the inode flags of chattr(1)
  bool syncs = false;                  // --sync: fsync where the source did
};

}  // namespace tfs::apply
