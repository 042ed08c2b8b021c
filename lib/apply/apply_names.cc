// The records that make, move and remove names.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "lib/apply/applier.h"
#include "lib/apply/attributes.h"
#include "lib/format/rel_path.h"

namespace tfs::apply {

using format::parent_of;

namespace {

Result<sys::Fd> path_fd(const Place& at, const Object& target) {
  int fd = open_in(at.dir, at.name.c_str(), O_PATH);
  if (fd < 0) return at_object("apply.names.open", errno, "find", target);
  return sys::Fd(fd);
}

// Zeros where there is nothing.
struct stat found_at(const Place& at) {
  struct stat st {};
  stat_at(at, st);
  return st;
}

bool is_there(const Place& at) {
  struct stat st;
  return stat_at(at, st);
}

}  // namespace

Status Applier::create(const format::Create& r) {
  Object target = object(r.path);
  tree_.forget_file(id_);
  auto make = [&]() -> Status {
    Place at = TFS_TRY(tree_.place(target));
    sys::Fd fd(::openat(at.dir, at.name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, r.mode & 0777));
    // What an attempt before this has made may be closed to its owner by now.
    bool was_there = !fd.is_open() && again_ && errno == EEXIST;
    if (was_there) fd = TFS_TRY(path_fd(at, target));
    if (!fd.is_open()) return at_object("apply.create.open", errno, "create", target);
    Descriptor kind = was_there ? Descriptor::kAny : Descriptor::kOpen;
    TFS_TRY(dress(fd.get(), {r.mode, r.uid, r.gid, r.xattrs}, target, kind));
    if (int error = goes_on() ? 0 : set_mtime(fd.get(), r.mtime, kind))
      return at_object("apply.create.utimens", error, "set the times of", target);
    if (was_there) return {};
    tree_.keep_open(id_, std::move(fd));
    if (policy_.sets_owner && !scan_->is_running()) *tree_.known_file(id_) = Tree::Known{r.mode, r.uid, r.gid};
    return {};
  };
  if (r.path.empty()) return make();
  TFS_TRY(lifting({parent_of(r.path), 0}, make));
  return touch_directory_later(parent_of(r.path), r.parent_mtime);
}

Status Applier::mkdir(const format::Mkdir& r) {
  Object target = object(r.path);
  TFS_TRY(lifting({parent_of(r.path), 0}, [&]() -> Status {
    Place at = TFS_TRY(tree_.place(target));
    if (::mkdirat(at.dir, at.name.c_str(), r.mode & 0777) != 0 && !(again_ && errno == EEXIST)) {
      return at_object("apply.mkdir.mkdir", errno, "make the directory", target);
    }
    int fd = TFS_TRY(tree_.directory(r.path));
    TFS_TRY(dress(fd, {r.mode, r.uid, r.gid, r.xattrs}, target));
    std::optional<Tree::Known>* known = tree_.known_directory(r.path);
    if (known != nullptr && policy_.sets_owner && !scan_->is_running()) *known = Tree::Known{r.mode, r.uid, r.gid};
    return {};
  }));
  TFS_TRY(touch_directory_later(r.path, r.mtime));
  return touch_directory_later(parent_of(r.path), r.parent_mtime);
}

Status Applier::mknod(const format::Mknod& r) {
  Object target = object(r.path);
  mode_t type = policy_.type_of(r.mode, r.major, r.minor);
  TFS_TRY(lifting({parent_of(r.path), 0}, [&]() -> Status {
    Place at = TFS_TRY(tree_.place(target));
    if (::mknodat(at.dir, at.name.c_str(), type | 0600, makedev(r.major, r.minor)) != 0 && !(again_ && errno == EEXIST)) {
      return at_object("apply.mknod.mknod", errno, "make the special file", target);
    }
    sys::Fd fd = TFS_TRY(path_fd(at, target));
    TFS_TRY(dress(fd.get(), {r.mode, r.uid, r.gid, r.xattrs}, target));
    if (int error = set_mtime(fd.get(), r.mtime)) return at_object("apply.mknod.utimens", error, "set the times of", target);
    return {};
  }));
  return touch_directory(parent_of(r.path), r.parent_mtime);
}

Status Applier::symlink(const format::Symlink& r) {
  Object target = object(r.path);
  TFS_TRY(lifting({parent_of(r.path), 0}, [&]() -> Status {
    Place at = TFS_TRY(tree_.place(target));
    if (::symlinkat(std::string(r.target).c_str(), at.dir, at.name.c_str()) != 0 && !(again_ && errno == EEXIST)) {
      return at_object("apply.symlink.symlink", errno, "make the symbolic link", target);
    }
    sys::Fd fd = TFS_TRY(path_fd(at, target));
    if (policy_.sets_owner) {
      if (int error = set_owner(fd.get(), r.uid, r.gid))
        return at_object("apply.symlink.chown", error, "set the owner of", target);
    }
    if (int error = goes_on() ? 0 : set_mtime(fd.get(), r.mtime))
      return at_object("apply.symlink.utimens", error, "set the times of", target);
    return {};
  }));
  return touch_directory_later(parent_of(r.path), r.parent_mtime);
}

Status Applier::link(const format::Link& r) {
  Object target = object(r.path);
  TFS_TRY(lifting({parent_of(r.new_path), 0}, [&]() -> Status {
    Place from = TFS_TRY(tree_.place(target));
    Place to = TFS_TRY(tree_.place(r.new_path));
    if (::linkat(from.dir, from.name.c_str(), to.dir, to.name.c_str(), 0) != 0 && !(again_ && errno == EEXIST)) {
      int error = link_error(from);
      return at_object("apply.link.link", error, "link", error == EISDIR ? target : object(r.new_path));
    }
    return {};
  }));
  return touch_directory(parent_of(r.new_path), r.parent_mtime);
}

Status Applier::unlink(const format::Unlink& r) {
  Object target = object(r.path);
  TFS_TRY(lifting({parent_of(r.path), 0}, [&]() -> Status {
    Place at = TFS_TRY(tree_.place(target));
    if (again_ && !is_there(at)) return {};
    if (r.flags & format::kUnlinkKeep) TFS_TRY(keep(at, id_, target));
    scan_->name_goes(at);
    if (::unlinkat(at.dir, at.name.c_str(), 0) != 0) return at_object("apply.unlink.unlink", errno, "remove", target);
    return {};
  }));
  if (!(r.flags & format::kUnlinkKeep) && links_ == 0) tree_.forget_file(id_);
  return touch_directory(parent_of(r.path), r.parent_mtime);
}

Status Applier::rmdir(const format::Rmdir& r) {
  Object target = object(r.path);
  tree_.forget_directory(r.path);
  TFS_TRY(lifting({parent_of(r.path), 0}, [&]() -> Status {
    Place at = TFS_TRY(tree_.place(target));
    if (::unlinkat(at.dir, at.name.c_str(), AT_REMOVEDIR) != 0 && !(again_ && errno == ENOENT)) {
      return at_object("apply.rmdir.rmdir", errno, "remove the directory", target);
    }
    return {};
  }));
  return touch_directory(parent_of(r.path), r.parent_mtime);
}

// Whether a rename that was under way had happened is told by the inode that it moved.
Status Applier::rename_once(const format::Rename& r, const Place& from, const Place& to) {
  Object target = object(r.path);
  struct stat old_st = found_at(from), new_st = found_at(to);
  uint64_t here = old_st.st_ino;
  if (again_ && state_.moved_ino() != 0 && here != state_.moved_ino()) {
    if (new_st.st_ino == state_.moved_ino()) return keep_mtimes(r, from, old_st, to, new_st);
    return at_object("apply.rename.again", ENOENT, "rename", target);
  }
  if (here == 0) return at_object("apply.rename.find", ENOENT, "rename", target);
  bool is_exchange = (r.flags & format::kRenameExchange) != 0;
  bool finds = new_st.st_ino != 0;
  if (finds != (is_exchange || (r.flags & format::kRenameReplace))) {
    return at_object("apply.rename.target", finds ? EEXIST : ENOENT, "rename to", object(r.new_path));
  }
  if (finds && !is_exchange) scan_->name_goes(to);
  state_.note_moved(here, to_time(old_st.st_mtim), to_time(new_st.st_mtim));
  if (r.flags & format::kRenameKeep) TFS_TRY(keep(to, r.replaced, object(r.new_path)));
  unsigned flags = (is_exchange ? RENAME_EXCHANGE : 0) | (r.flags & format::kRenameWhiteout ? RENAME_WHITEOUT : 0);
  if (::renameat2(from.dir, from.name.c_str(), to.dir, to.name.c_str(), flags) != 0) {
    return at_object("apply.rename.rename", errno, "rename", target);
  }
  return keep_mtimes(r, from, new_st, to, old_st);
}

// Directories that have another parent keep their mtime; but xfs gives those that change places with something a new one. What was
// `moved` is at `to` now, and what was `other` at `from`, where places have been changed.
Status Applier::keep_mtimes(const format::Rename& r, const Place& from, const struct stat& other, const Place& to,
                            const struct stat& moved) {
  if (parent_of(r.path) == parent_of(r.new_path) || !state_.knows_mtimes()) return {};
  if (S_ISDIR(moved.st_mode)) TFS_TRY(keep_mtime(to, state_.moved_mtime(), object(r.new_path)));
  bool is_exchange = (r.flags & format::kRenameExchange) != 0;
  return is_exchange && S_ISDIR(other.st_mode) ? keep_mtime(from, state_.exchanged_mtime(), object(r.path)) : Status();
}

Status Applier::keep_mtime(const Place& at, const format::Time& mtime, const Object& directory) {
  struct stat st;
  if (!stat_at(at, st)) return at_object("apply.rename.stat", errno, "find", directory);
  if (to_time(st.st_mtim) == mtime) return {};
  sys::Fd fd = TFS_TRY(path_fd(at, directory));
  if (int error = set_mtime(fd.get(), mtime)) return at_object("apply.rename.utimens", error, "set the times of", directory);
  return {};
}

Status Applier::rename(const format::Rename& r) {
  tree_.forget_directory(r.path);
  tree_.forget_directory(r.new_path);
  if ((r.flags & format::kRenameReplace) && !(r.flags & format::kRenameKeep)) tree_.forget_file(r.replaced);
  auto move = [&]() -> Status {
    Place from = TFS_TRY(tree_.place(r.path));
    Place to = TFS_TRY(tree_.place(r.new_path));
    return rename_once(r, from, to);
  };
  TFS_TRY(lifting({parent_of(r.path), 0}, [&] { return lifting({parent_of(r.new_path), 0}, move); }));
  if (r.flags & format::kRenameWhiteout) TFS_TRY(dress_whiteout(r));
  TFS_TRY(touch_directory(parent_of(r.path), r.parent_mtime));
  return touch_directory(parent_of(r.new_path), r.new_parent_mtime);
}

// Of the default ACL of their directory some filesystems give whiteouts one of their own. A frame of its own tells it where the source's
// has.
Status Applier::dress_whiteout(const format::Rename& r) {
  constexpr const char* kAcl = "system.posix_acl_access";
  Object whiteout{r.path, 0};
  sys::Fd fd = TFS_TRY(tree_.open_path(whiteout));
  bool is_bare =
      !policy_.carries(kAcl) || ::removexattr(proc_path(fd.get()).c_str(), kAcl) == 0 || errno == ENODATA || errno == EOPNOTSUPP;
  if (!is_bare)
    return at_object("apply.whiteout.removexattr", errno, "remove the attribute system.posix_acl_access of", whiteout);
  if (policy_.sets_owner) {
    if (int error = set_owner(fd.get(), r.whiteout_uid, r.whiteout_gid)) {
      return at_object("apply.whiteout.chown", error, "set the owner of", whiteout);
    }
  }
  if (int error = set_mtime(fd.get(), r.whiteout_mtime)) {
    return at_object("apply.whiteout.utimens", error, "set the times of", whiteout);
  }
  return {};
}

Status Applier::forget(const format::Forget&) {
  tree_.forget_file(id_);
  Place held = tree_.held_place(id_);
  if (again_ && !is_there(held)) {
    state_.clear_all_lifted();
    return {};
  }
  // It may have been made immutable when it had no name any more.
  Object target{{}, id_};
  return lifting(target, [&]() -> Status {
    scan_->name_goes(held);
    if (::unlinkat(held.dir, held.name.c_str(), 0) != 0) return at_object("apply.forget.unlink", errno, "let go", target);
    return {};
  });
}

}  // namespace tfs::apply
