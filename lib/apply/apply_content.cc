// The records that change what is in a file, and its attributes.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "lib/apply/applier.h"
#include "lib/apply/attributes.h"
#include "lib/sys/io.h"

namespace tfs::apply {

Status Applier::write(const format::Write& r) {
  Object target = object(r.path);
  return lifting(target, [&]() -> Status {
    int fd = TFS_TRY(tree_.file(target));
    if (next_ == Next::kWrite && r.mode == 0) {
      joined_.push_back(r.data);
      return {};
    }
    TFS_TRY(before_content(fd));
    Status written = write_joined(fd, r);
    if (!written) return at_object("apply.write.pwrite", written.error().sys_errno, "write", target);
    return after_content(fd, r.mtime, r.mode, target);
  });
}

Status Applier::write_joined(int fd, const format::Write& r) {
  if (joined_.empty()) return sys::pwrite_all("apply.write.pwrite", fd, r.data, r.offset);
  std::vector<iovec> parts;
  uint64_t offset = r.offset;
  auto add = [&parts](ByteView data) { parts.push_back({const_cast<std::byte*>(data.data()), data.size()}); };
  for (ByteView data : joined_) {
    offset -= data.size();
    add(data);
  }
  add(r.data);
  TFS_TRY(sys::pwritev_all("apply.write.pwrite", fd, parts, offset));
  joined_.clear();
  return {};
}

Status Applier::truncate(const format::Truncate& r) {
  Object target = object(r.path);
  return lifting(target, [&]() -> Status {
    int fd = TFS_TRY(tree_.file(target));
    TFS_TRY(before_content(fd));
    if (::ftruncate(fd, static_cast<off_t>(r.size)) != 0) return at_object("apply.truncate.ftruncate", errno, "truncate", target);
    return after_content(fd, r.mtime, r.mode, target);
  });
}

// For a filesystem that lacks a mode: content and size come out the same, allocation as far as it can.
Status Applier::emulate_fallocate(int fd, const format::Fallocate& r) {
  Object target = object(r.path);
  struct stat st;
  if (::fstat(fd, &st) != 0) return at_object("apply.fallocate.stat", errno, "read", target);
  uint64_t size = static_cast<uint64_t>(st.st_size), end = r.offset + r.length;
  if (r.flags & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
    int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if (::fallocate(fd, punch, static_cast<off_t>(r.offset), static_cast<off_t>(r.length)) != 0) {
      static constexpr std::array<std::byte, 65536> zeros{};
      for (uint64_t at = r.offset; at < std::min(end, size);) {
        size_t n = static_cast<size_t>(std::min<uint64_t>(zeros.size(), std::min(end, size) - at));
        TFS_TRY(sys::pwrite_all("apply.fallocate.zero", fd, ByteView(zeros).first(n), at));
        at += n;
      }
    }
  }
  if (!(r.flags & FALLOC_FL_KEEP_SIZE) && end > size && ::ftruncate(fd, static_cast<off_t>(end)) != 0) {
    return at_object("apply.fallocate.extend", errno, "extend", target);
  }
  return {};
}

Status Applier::fallocate(const format::Fallocate& r) {
  Object target = object(r.path);
  constexpr uint32_t known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if ((r.flags & ~known) != 0 || r.offset > INT64_MAX || r.length > INT64_MAX - r.offset) {
    return corrupt("FALLOCATE that no source makes");
  }
  bool is_done = false;  // twice is not the same as once: a tmpfs makes data of what was allocated before
  return lifting(target, [&]() -> Status {
    int fd = TFS_TRY(tree_.file(target));
    if (is_done) return after_content(fd, r.mtime, r.mode, target);
    TFS_TRY(before_content(fd));
    if (::fallocate(fd, static_cast<int>(r.flags), static_cast<off_t>(r.offset), static_cast<off_t>(r.length)) != 0) {
      if (errno != EOPNOTSUPP && errno != ENOSYS) return at_object("apply.fallocate.call", errno, "allocate", target);
      TFS_TRY(emulate_fallocate(fd, r));
    }
    is_done = true;
    return after_content(fd, r.mtime, r.mode, target);
  });
}

Status Applier::copy(const format::Copy& r) {
  Object target = object(r.path), source{r.source_path, r.source_id};
  return lifting(target, [&]() -> Status {
    int from = TFS_TRY(tree_.file(source));
    int to = TFS_TRY(tree_.file(target));
    TFS_TRY(before_content(to));
    off_t in = static_cast<off_t>(r.source_offset), out = static_cast<off_t>(r.offset);
    std::array<std::byte, 65536> buffer;
    for (uint64_t left = r.length; left > 0;) {
      ssize_t n = ::copy_file_range(from, &in, to, &out, static_cast<size_t>(std::min<uint64_t>(left, 1u << 30)), 0);
      if (n < 0 && errno != ENOSPC && errno != EDQUOT && errno != EIO) {  // this filesystem cannot: by hand
        n = ::pread(from, buffer.data(), static_cast<size_t>(std::min<uint64_t>(left, buffer.size())), in);
        if (n > 0) {
          TFS_TRY(sys::pwrite_all("apply.copy.pwrite", to, ByteView(buffer).first(static_cast<size_t>(n)),
                                  static_cast<uint64_t>(out)));
          in += n;
          out += n;
        }
      }
      if (n < 0) return at_object("apply.copy.copy", errno, "copy to", target);
      if (n == 0) return mismatch("the source of a copy is shorter than the stream says: the mirror needs a scan");
      left -= static_cast<uint64_t>(n);
    }
    return after_content(to, r.mtime, r.mode, target);
  });
}

Status Applier::sync(const format::Sync& r) {
  if (!policy_.syncs) return {};
  Object target = object(r.path);
  return lifting(target, [&]() -> Status {
    sys::Fd at = TFS_TRY(tree_.open_path(target));
    struct stat st;
    if (::fstat(at.get(), &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) return {};  // nothing to open, nor to sync
    sys::Fd fd(::open(proc_path(at.get()).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd.is_open() || (r.flags & format::kSyncData ? ::fdatasync(fd.get()) : ::fsync(fd.get())) != 0) {
      return at_object("apply.sync.fsync", errno, "sync", target);
    }
    return {};
  });
}

Status Applier::set_attr(const format::SetAttr& r) {
  Object target = object(r.path);
  return lifting(target, [&]() -> Status {
    bool is_directory = S_ISDIR(r.mode) && !r.path.empty();
    int fd = is_directory ? TFS_TRY(tree_.directory(r.path)) : tree_.open_file(id_);
    Descriptor kind = fd < 0 || is_directory ? Descriptor::kAny : Descriptor::kOpen;
    sys::Fd opened;
    if (fd < 0) {
      opened = TFS_TRY(tree_.open_path(target));
      fd = opened.get();
    }
    uint32_t unchanged = static_cast<uint32_t>(-1);
    std::optional<Tree::Known>* known = is_directory ? tree_.known_directory(r.path) : tree_.known_file(id_);
    Tree::Known here = known != nullptr && *known ? **known : Tree::Known{0, unchanged, unchanged};
    uint32_t uid = r.valid & format::kSetUid ? r.uid : here.uid, gid = r.valid & format::kSetGid ? r.gid : here.gid;
    if (policy_.sets_owner && (uid != here.uid || gid != here.gid)) {
      tree_.forget_known(target);
      here = {0, uid, gid};  // set-id bits have gone
      if (int error = set_owner(fd, uid, gid, kind)) return at_object("apply.setattr.chown", error, "set the owner of", target);
    }
    if ((r.valid & format::kSetMode) && r.mode != here.mode) {
      if (int error = set_mode(fd, r.mode, kind)) return at_fd("apply.setattr.chmod", error, "set the mode of", fd, target);
      here.mode = r.mode;
    }
    if (known != nullptr && here.mode != 0 && here.uid != unchanged && here.gid != unchanged && !scan_->is_running())
      *known = here;
    if (is_directory) forget_births(r.path);
    bool sets_mtime = ((r.valid & format::kSetMtime) || owes_mtime_) && !goes_on();
    if (sets_mtime || (r.valid & format::kSetAtime)) {
      int error = set_times(fd, r.valid & format::kSetAtime ? &r.atime : nullptr, sets_mtime ? &r.mtime : nullptr, kind);
      if (error != 0) return at_object("apply.setattr.utimens", error, "set the times of", target);
    }
    if (is_directory && sets_mtime) drop_owed(r.path);
    return {};
  });
}

Status Applier::set_xattr(const format::SetXattr& r) {
  Object target = object(r.path);
  return lifting(target, [&]() -> Status {
    sys::Fd fd = TFS_TRY(tree_.open_path(target));
    tree_.forget_known(target);
    TFS_TRY(store_xattr(fd.get(), r.name, r.value, target));
    if (r.mode != 0) {
      if (int error = set_mode(fd.get(), r.mode)) return at_object("apply.setxattr.chmod", error, "set the mode of", target);
    }
    return {};
  });
}

Status Applier::remove_xattr(const format::RemoveXattr& r) {
  Object target = object(r.path);
  if (!policy_.carries(r.name)) return {};
  return lifting(target, [&]() -> Status {
    sys::Fd fd = TFS_TRY(tree_.open_path(target));
    tree_.forget_known(target);
    if (::removexattr(proc_path(fd.get()).c_str(), std::string(r.name).c_str()) != 0 && !(again_ && errno == ENODATA)) {
      return at_fd("apply.removexattr.call", errno, "remove the attribute " + std::string(r.name) + " of", fd.get(), target);
    }
    if (r.mode != 0) {
      if (int error = set_mode(fd.get(), r.mode)) return at_object("apply.removexattr.chmod", error, "set the mode of", target);
    }
    return {};
  });
}

Status Applier::set_flags(const format::SetFlags& r) {
  if (!policy_.sets_flags || !(r.valid & format::kFlagsInode)) return {};
  Object target = object(r.path);
  auto set = [&]() -> Status {
    sys::Fd fd = TFS_TRY(tree_.open_path(target));
    uint32_t flags = 0;
    if (int error = get_flags(fd.get(), flags)) return at_object("apply.flags.get", error, "read the flags of", target);
    uint32_t wanted = (flags & ~kCarriedFlags) | (r.inode_flags & kCarriedFlags);
    if (wanted == flags) return {};
    if (int error = apply::set_flags(fd.get(), wanted)) return at_object("apply.flags.set", error, "set the flags of", target);
    return {};
  };
  return is_root_ ? set() : lifting(target, set);
}

}  // namespace tfs::apply
