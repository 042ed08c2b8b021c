// Tells a file or directory from any other that gets its name, or its inode number, when it is gone; and knows it again after the
// filesystem was mounted anew, or the machine started.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tfs::sys {

// Plain memory, to be kept in a file. All zeros: nothing is known.
struct FileIdentity {
  static constexpr size_t kMaxHandle = 64;

  int64_t born_sec = 0;  // since 1970; 0 where the filesystem does not keep it
  uint32_t born_nsec = 0;
  uint32_t handle_size = 0;  // of the handle of name_to_handle_at(2); 0 where the filesystem has none, or none that lasts
  int32_t handle_type = 0;
  uint32_t unused = 0;
  uint8_t handle[kMaxHandle] = {};

  // Something is known of both, and is not the same.
  bool differs_from(const FileIdentity& other) const;
};

FileIdentity identity_of(int fd);

// On overlayfs what was never written to becomes another file when it is: that happens now.
void settle_identity(int fd);

}  // namespace tfs::sys
