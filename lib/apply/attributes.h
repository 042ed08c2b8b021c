// Small system calls on open objects, with the mirror's names of things.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/apply/tree.h"

namespace tfs::apply {

// The inode flags that a mirror carries: what a user may set and see with chattr(1) and that means the same everywhere.
constexpr uint32_t kCarriedFlags =
    0x00000008 /* S */ | 0x00000010 /* i */ | 0x00000020 /* a */ | 0x00000040 /* d */ | 0x00000080 /* A */ | 0x00010000 /* D */;
constexpr uint32_t kForbiddingFlags = 0x00000010 | 0x00000020;

// What a filesystem says that fails, and not of the object: it may pass.
bool is_of_the_disk(int error);

inline format::Time to_time(const timespec& t) { return {t.tv_sec, static_cast<uint32_t>(t.tv_nsec)}; }

// All are 0 or an errno. A descriptor that is not O_PATH is cheaper: no path is looked up.
enum class Descriptor { kAny, kOpen };
int set_mode(int fd, uint32_t mode, Descriptor kind = Descriptor::kAny);
int set_owner(int fd, uint32_t uid, uint32_t gid, Descriptor kind = Descriptor::kAny);
int set_mtime(int fd, const format::Time& mtime, Descriptor kind = Descriptor::kAny);
int set_times(int fd, const format::Time* atime, const format::Time* mtime, Descriptor kind = Descriptor::kAny);

// "set the attribute NAME of", for an error; and why it may be that there is no room for it on a disk that has room: ext4 takes 4 KiB of
// attributes for one object.
std::string setting_xattr(int path_fd, std::string_view name, int error);

// Opens the object behind an O_PATH descriptor itself, to ask for its flags; only regular files and directories have any.
int get_flags(int path_fd, uint32_t& flags);
int set_flags(int path_fd, uint32_t flags);

}  // namespace tfs::apply
