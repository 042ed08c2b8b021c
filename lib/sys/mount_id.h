// Which mount a file is on, told from the same filesystem mounted anew: what was not on disk may have been lost in between.
#pragma once

#include <cstdint>

namespace tfs::sys {

struct MountId {
  uint64_t mount = 0;            // never used twice while the machine is up; 0 where the kernel does not say (before 6.8)
  uint64_t mount_namespace = 0;  // mounts of different ones are not comparable

  // Both are known, and are of different mounts of one namespace.
  bool differs_from(const MountId& other) const {
    return mount != 0 && other.mount != 0 && mount_namespace == other.mount_namespace && mount != other.mount;
  }
};

MountId mount_id(int fd);

}  // namespace tfs::sys
