// The operations that make, move and remove names.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "lib/format/decode.h"
#include "lib/format/rel_path.h"
#include "lib/journal/filesystem.h"
#include "lib/journal/flights.h"
#include "lib/journal/request_context.h"
#include "lib/journal/scanner.h"

namespace tfs::journal {
namespace {

constexpr char kDefaultAcl[] = "system.posix_acl_default";
constexpr char kAccessAcl[] = "system.posix_acl_access";
constexpr unsigned kInheritedFlags = FS_SYNC_FL | FS_DIRSYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL;

void put_flags(Recorder::Section& section, uint64_t ino, std::string_view path, std::optional<format::SetFlags>& flags) {
  if (!flags) return;
  flags->path = path;
  section.put(ino, 0, *flags);
}

}  // namespace

// Whether new objects in `dir` take ACLs from it. Asked once for each directory; set_xattr() makes it be asked again.
bool Filesystem::inherits_acl(Node& dir, int dir_fd) {
  uint8_t known = dir.default_acl.load();
  if (known == 0) {
    ssize_t n = ::getxattr(ProcPath(dir_fd).text, kDefaultAcl, nullptr, 0);
    if (n < 0 && !has_none(errno)) return true;  // then they are asked
    known = n > 0 ? 2 : 1;
    dir.default_acl.store(known);
  }
  return known == 2;
}

// The ACLs that a new object was born with, as [xattrs].
std::vector<std::byte> Filesystem::new_xattrs(Node& dir, int dir_fd, const char* name) {
  if (!inherits_acl(dir, dir_fd)) return {};
  return read_back_acls(::lgetxattr, (std::string(ProcPath(dir_fd).text) + "/" + name).c_str(), {kAccessAcl, kDefaultAcl});
}

// Which flags a new object takes from its directory is the filesystem's own affair, and a nameless one has none in a mirror: where the
// directory has any they are recorded. Asked once for each directory; set_inode_flags() makes it be asked again.
bool Filesystem::gives_flags(Node& dir, int dir_fd) {
  uint8_t known = dir.gives_flags.load();
  if (known == 0) {
    sys::Fd fd(::openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    unsigned int flags = 0;
    bool is_told = fd.is_open() && ::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) == 0;
    if (!is_told && (!fd.is_open() || !has_none(errno))) return true;  // then they are asked
    known = flags & kInheritedFlags ? 2 : 1;
    dir.gives_flags.store(known);
  }
  return known == 2;
}

// The flags that a new object was born with, where they are to be recorded.
std::optional<format::SetFlags> Filesystem::new_flags(Node& dir, int dir_fd, const char* name, mode_t mode) {
  if ((!S_ISREG(mode) && !S_ISDIR(mode)) || !gives_flags(dir, dir_fd)) return {};
  sys::Fd fd(::openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.is_open()) lost(errno);
  return fd.is_open() ? read_back_flags(fd.get()) : std::nullopt;
}

// What mknod, mkdir and symlink have in common: `make` does the system call in an open directory and returns 0 or -1.
template <class Make>
int Filesystem::make(uint64_t parent, const char* name, const Caller& caller, Entry& out, Make make_it) {
  Node* dir = node(parent);
  if (dir == nullptr) return ESTALE;
  if (is_reserved(parent, name)) return EACCES;
  NameChange change(*dir);
  DirRef ref = store_.directory(*dir);
  if (!ref.is_open()) return -ref.fd();
  {
    AsCaller as(caller);
    if (make_it.call(ref.fd()) != 0 && !was_done_before(errno, EEXIST)) return errno;
  }
  Identity identity;
  if (int error = store_.identify(ref.fd(), name, out.attributes, identity)) return lost(error);
  std::vector<std::byte> xattrs;
  if (!S_ISLNK(out.attributes.st_mode)) xattrs = new_xattrs(*dir, ref.fd(), name);
  std::optional<format::SetFlags> flags = new_flags(*dir, ref.fd(), name, out.attributes.st_mode);
  format::Time parent_mtime = read_back_mtime(ref.fd());

  Recorder::Section section(recorder_);
  out.id = table_.enter(*dir, name, identity, 1).id;
  std::string_view path = section.path(*dir, name, Recorder::paths().first);
  make_it.put(section, path, out.attributes, parent_mtime, ByteView(xattrs));
  put_flags(section, identity.ino, path, flags);
  return 0;
}

int Filesystem::make_node(uint64_t parent, const char* name, mode_t mode, dev_t device, const Caller& caller, Entry& out) {
  struct {
    const char* name;
    mode_t mode;
    dev_t device;
    int call(int dir_fd) const { return ::mknodat(dir_fd, name, mode, device); }
    void put(Recorder::Section& section, std::string_view path, const struct stat& st, format::Time parent_mtime,
             ByteView xattrs) const {
      if (S_ISREG(st.st_mode)) {
        section.put(st.st_ino, st.st_nlink,
                    format::Create{st.st_mode, st.st_uid, st.st_gid, to_time(st.st_mtim), parent_mtime, path, xattrs});
      } else {
        section.put(st.st_ino, st.st_nlink,
                    format::Mknod{st.st_mode, st.st_uid, st.st_gid, major(st.st_rdev), minor(st.st_rdev), to_time(st.st_mtim),
                                  parent_mtime, path, xattrs});
      }
    }
  } how{name, mode, device};
  return make(parent, name, caller, out, how);
}

int Filesystem::make_dir(uint64_t parent, const char* name, mode_t mode, const Caller& caller, Entry& out) {
  struct {
    const char* name;
    mode_t mode;
    int call(int dir_fd) const { return ::mkdirat(dir_fd, name, mode); }
    void put(Recorder::Section& section, std::string_view path, const struct stat& st, format::Time parent_mtime,
             ByteView xattrs) const {
      section.put(st.st_ino, st.st_nlink,
                  format::Mkdir{st.st_mode, st.st_uid, st.st_gid, to_time(st.st_mtim), parent_mtime, path, xattrs});
    }
  } how{name, mode};
  return make(parent, name, caller, out, how);
}

int Filesystem::make_symlink(uint64_t parent, const char* name, const char* target, const Caller& caller, Entry& out) {
  struct {
    const char* name;
    const char* target;
    int call(int dir_fd) const { return ::symlinkat(target, dir_fd, name); }
    void put(Recorder::Section& section, std::string_view path, const struct stat& st, format::Time parent_mtime,
             ByteView) const {
      section.put(st.st_ino, st.st_nlink, format::Symlink{st.st_uid, st.st_gid, to_time(st.st_mtim), parent_mtime, path, target});
    }
  } how{name, target};
  return make(parent, name, caller, out, how);
}

int Filesystem::create(uint64_t parent, const char* name, mode_t mode, int flags, const Caller& caller, Entry& out,
                       FileHandle& handle) {
  Node* dir = node(parent);
  if (dir == nullptr) return ESTALE;
  if (is_reserved(parent, name)) return EACCES;
  {
    NameChange change(*dir);
    DirRef ref = store_.directory(*dir);
    if (!ref.is_open()) return -ref.fd();
    // Always exclusive, so that the record says truthfully that the file is new.
    sys::Fd fd;
    {
      AsCaller as(caller);
      fd = sys::Fd(::openat(ref.fd(), name, store_access(flags) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    }
    if (fd.is_open()) {
      Identity identity;
      if (int error = store_.identify_fd(fd.get(), out.attributes, identity)) return lost(error);
      std::vector<std::byte> xattrs = new_xattrs(*dir, ref.fd(), name);
      std::optional<format::SetFlags> born_flags = gives_flags(*dir, ref.fd()) ? read_back_flags(fd.get()) : std::nullopt;
      format::Time parent_mtime = read_back_mtime(ref.fd());

      const struct stat& st = out.attributes;
      Recorder::Section section(recorder_);
      Node& made = table_.enter(*dir, name, identity, 1);
      table_.add_open(made);
      made.lacks_capability = true;  // just born: an ACL is all that it can have
      out.id = made.id;
      std::string_view path = section.path(*dir, name, Recorder::paths().first);
      section.put(st.st_ino, st.st_nlink,
                  format::Create{st.st_mode, st.st_uid, st.st_gid, to_time(st.st_mtim), parent_mtime, path, xattrs});
      put_flags(section, st.st_ino, path, born_flags);
      handle = note_open(made, fd.release(), flags);
      return 0;
    }
    if (errno != EEXIST || ((flags & O_EXCL) && !was_done_before(errno, EEXIST))) return errno;
  }
  // It was there after all: a plain open. O_TRUNC is not lost, the kernel sends it as SETATTR where it saw the file.
  if (int error = lookup(parent, name, out)) return error;
  int error = !S_ISREG(out.attributes.st_mode) ? ESTALE : open(out.id, flags, handle);
  if (error != 0) table_.forget(out.id, 1);
  return error;
}

int Filesystem::make_tmpfile(uint64_t parent, mode_t mode, int flags, const Caller& caller, Entry& out, FileHandle& handle) {
  Node* dir = node(parent);
  if (dir == nullptr) return ESTALE;
  Locked locked(*dir);
  DirRef ref = store_.directory(*dir);
  if (!ref.is_open()) return -ref.fd();
  sys::Fd fd;
  {
    AsCaller as(caller);
    int tmp_flags = store_access(flags) | (flags & O_EXCL) | O_TMPFILE | O_CLOEXEC;
    fd = sys::Fd(::openat(ref.fd(), ".", tmp_flags, mode & 07777));
  }
  if (!fd.is_open()) return errno;
  Identity identity;
  if (int error = store_.identify_fd(fd.get(), out.attributes, identity)) return error;
  std::vector<std::byte> xattrs;
  if (inherits_acl(*dir, ref.fd())) xattrs = read_back_acls(::getxattr, ProcPath(fd.get()).text, {kAccessAcl});

  std::optional<format::SetFlags> born_flags = gives_flags(*dir, ref.fd()) ? read_back_flags(fd.get()) : std::nullopt;

  const struct stat& st = out.attributes;
  Recorder::Section section(recorder_);
  Node& made = table_.enter_nameless(identity);
  out.id = made.id;
  section.put(st.st_ino, st.st_nlink, format::Create{st.st_mode, st.st_uid, st.st_gid, to_time(st.st_mtim), {}, {}, xattrs});
  put_flags(section, st.st_ino, {}, born_flags);
  handle = note_open(made, fd.release(), flags);
  return 0;
}

int Filesystem::link(uint64_t id, uint64_t parent, const char* name, Entry& out) {
  Node *target = node(id), *dir = node(parent);
  if (target == nullptr || dir == nullptr) return ESTALE;
  if (is_reserved(parent, name)) return EACCES;
  Locked locked(*target, *dir);
  dir->changes.fetch_add(1);
  struct Changed {
    Node& dir;
    ~Changed() { dir.changes.fetch_add(1); }
  } changed{*dir};
  if (!table_.is_reachable(*target)) return ESTALE;
  DirRef ref = store_.directory(*dir);
  if (!ref.is_open()) return -ref.fd();
  int fd = store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  if (::linkat(AT_FDCWD, ProcPath(fd).text, ref.fd(), name, AT_SYMLINK_FOLLOW) != 0 && !was_done_before(errno, EEXIST))
    return errno;
  if (int error = read_back(fd, out.attributes)) return error;
  format::Time parent_mtime = read_back_mtime(ref.fd());

  Recorder::Paths& paths = Recorder::paths();
  Recorder::Section section(recorder_);
  std::string_view path = section.path(*target, paths.first);
  out.id = table_.enter(*dir, name, {target->ino, target->handle, target->is_directory}, 1).id;
  section.put(target->ino, out.attributes.st_nlink, format::Link{parent_mtime, path, section.path(*dir, name, paths.second)});
  scanner_->moved(*dir, name);
  return 0;
}

// Before the last link of an object goes: a descriptor by which it stays in reach. None is no harm: it will be ESTALE.
sys::Fd Filesystem::dig_grave(Node* victim, const struct stat& st) {
  if (victim == nullptr || victim->grave >= 0 || (!S_ISDIR(st.st_mode) && st.st_nlink > 1)) return {};
  int fd = store_.open_node(*victim, O_PATH | O_NOFOLLOW);
  return fd < 0 ? sys::Fd() : sys::Fd(fd);
}

int Filesystem::unlink(uint64_t parent, const char* name) { return remove(parent, name, 0); }
int Filesystem::remove_dir(uint64_t parent, const char* name) { return remove(parent, name, AT_REMOVEDIR); }

int Filesystem::remove(uint64_t parent, const char* name, int flags) {
  Node* dir = node(parent);
  if (dir == nullptr) return ESTALE;
  NameChange change(*dir);
  DirRef ref = store_.directory(*dir);
  if (!ref.is_open()) return -ref.fd();
  struct stat st;
  if (::fstatat(ref.fd(), name, &st, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  Node* victim = table_.find_ino(st.st_ino);
  sys::Fd grave = dig_grave(victim, st);
  if (::unlinkat(ref.fd(), name, flags) != 0) return errno;
  if (grave.is_open()) table_.bury(*victim, grave.release());
  format::Time parent_mtime = read_back_mtime(ref.fd());

  Recorder::Section section(recorder_);
  std::string_view path = section.path(*dir, name, Recorder::paths().first);
  if (victim != nullptr) table_.remove_name(*victim, *dir, name);
  if (flags & AT_REMOVEDIR) {
    if (victim != nullptr) store_.drop_directory(*victim);
    section.put(st.st_ino, 0, format::Rmdir{parent_mtime, path});
  } else {
    bool is_kept = victim != nullptr && table_.hold_if_nameless(*victim);
    section.put(st.st_ino, st.st_nlink - 1, format::Unlink{is_kept ? format::kUnlinkKeep : 0, parent_mtime, path});
    if (is_kept) scanner_->left_nameless(*victim);
  }
  return 0;
}

// ext4 puts the whiteout in place before it finds that the rename cannot be, and takes it back: a failure that leaves a new mtime.
int Filesystem::rename_as(unsigned flags, const Caller& caller, Node& dir, int from, const char* name, int to,
                          const char* new_name) {
  if (!(flags & RENAME_WHITEOUT)) return ::renameat2(from, name, to, new_name, flags) == 0 ? 0 : errno;
  struct stat before;
  if (::fstatat(from, "", &before, AT_EMPTY_PATH) != 0) return errno;
  int error = 0;
  {
    AsCaller as(caller);
    if (::renameat2(from, name, to, new_name, flags) != 0) error = errno;
  }
  format::SetAttr record;
  record.valid = format::kSetMtime;
  record.mtime = read_back_mtime(from);
  if (error != 0 && record.mtime != to_time(before.st_mtim)) {
    Recorder::Section section(recorder_);
    record.path = section.path(dir, Recorder::paths().first);
    section.put(dir.ino, 0, record);
  }
  return error;
}

// What xfs has given a directory that changed places with something in another one: a new mtime. With its lock, so that this stands
// behind what has changed it since.
void Filesystem::put_mtime(Node* moved) {
  if (moved == nullptr) {
    lost(ESTALE);
    return;
  }
  Node& target = *moved;
  Locked locked(target);
  if (!table_.is_reachable(target)) return;
  sys::Fd fd(store_.open_node(target, O_PATH | O_NOFOLLOW));
  struct stat st;
  if (!fd.is_open()) {
    lost(-fd.get());
    return;
  }
  if (read_back(fd.get(), st) != 0) return;
  stale_attributes_(target.id);
  format::SetAttr record;
  record.valid = format::kSetMtime;
  record.mtime = to_time(st.st_mtim);
  Recorder::Section section(recorder_);
  record.path = section.path(target, Recorder::paths().first);
  section.put(target.ino, st.st_nlink, record);
}

int Filesystem::rename(uint64_t parent, const char* name, uint64_t new_parent, const char* new_name, unsigned flags,
                       const Caller& caller) {
  Moved first, second;
  if (int error = move(parent, name, new_parent, new_name, flags, caller, first, second)) return error;
  for (const Moved& moved : {first, second}) {
    if (moved.has_new_mtime) put_mtime(moved.node);
  }
  return 0;
}

// `first` and `second`: what was at the two names.
int Filesystem::move(uint64_t parent, const char* name, uint64_t new_parent, const char* new_name, unsigned flags,
                     const Caller& caller, Moved& first, Moved& second) {
  Node *dir = node(parent), *new_dir = node(new_parent);
  if (dir == nullptr || new_dir == nullptr) return ESTALE;
  if (is_reserved(new_parent, new_name)) return EACCES;
  NameChange change(*dir, *new_dir);
  DirRef from = store_.directory(*dir), to = store_.directory(*new_dir);
  if (!from.is_open() || !to.is_open()) return from.is_open() ? -to.fd() : -from.fd();
  struct stat moved_st, other_st;
  if (::fstatat(from.fd(), name, &moved_st, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  bool replaces = ::fstatat(to.fd(), new_name, &other_st, AT_SYMLINK_NOFOLLOW) == 0;
  if (!replaces && errno != ENOENT) return errno;
  Node* other = replaces ? table_.find_ino(other_st.st_ino) : nullptr;
  bool is_same = replaces && other_st.st_ino == moved_st.st_ino;
  sys::Fd grave = is_same || (flags & RENAME_EXCHANGE) ? sys::Fd() : dig_grave(other, other_st);
  if (int error = rename_as(flags, caller, *dir, from.fd(), name, to.fd(), new_name)) return error;
  if (is_same) return 0;  // two names of one file: nothing has happened
  if (grave.is_open()) table_.bury(*other, grave.release());
  format::Rename record;
  record.parent_mtime = read_back_mtime(from.fd());
  record.new_parent_mtime = dir == new_dir ? record.parent_mtime : read_back_mtime(to.fd());
  auto has_new_mtime = [&](int dir_fd, const char* at, const struct stat& before) {
    struct stat after;
    if (!S_ISDIR(before.st_mode)) return false;
    bool is_told = ::fstatat(dir_fd, at, &after, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_told) lost(errno);
    return is_told && to_time(after.st_mtim) != to_time(before.st_mtim);
  };
  first.has_new_mtime = dir != new_dir && has_new_mtime(to.fd(), new_name, moved_st);
  second.has_new_mtime = dir != new_dir && (flags & RENAME_EXCHANGE) && has_new_mtime(from.fd(), name, other_st);
  if (replaces) record.replaced = other_st.st_ino;
  struct stat st {};
  std::vector<std::byte> whiteout_xattrs;
  if (flags & RENAME_WHITEOUT) {
    if (::fstatat(from.fd(), name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      lost(errno);
      st = {};
    }
    record.flags |= format::kRenameWhiteout;
    record.whiteout_uid = st.st_uid;
    record.whiteout_gid = st.st_gid;
    record.whiteout_mtime = to_time(st.st_mtim);
    whiteout_xattrs = new_xattrs(*dir, from.fd(), name);
  }

  Recorder::Paths& paths = Recorder::paths();
  Recorder::Section section(recorder_);
  record.path = section.path(*dir, name, paths.first);
  record.new_path = section.path(*new_dir, new_name, paths.second);
  Node* moved = table_.find_ino(moved_st.st_ino);
  if (moved != nullptr) table_.remove_name(*moved, *dir, name);
  if (other != nullptr) table_.remove_name(*other, *new_dir, new_name);
  if (moved != nullptr) table_.add_name(*moved, *new_dir, new_name);
  if (flags & RENAME_EXCHANGE) {
    record.flags |= format::kRenameExchange;
    if (other != nullptr) table_.add_name(*other, *dir, name);
  } else if (replaces) {
    record.flags |= format::kRenameReplace;
    if (S_ISDIR(other_st.st_mode)) {
      if (other != nullptr) store_.drop_directory(*other);
    } else if (other != nullptr && table_.hold_if_nameless(*other)) {
      record.flags |= format::kRenameKeep;
    }
  }
  section.put(moved_st.st_ino, moved_st.st_nlink, record);
  // Not on every filesystem does a whiteout take ACLs from its directory.
  std::string_view xattr;
  ByteView left = whiteout_xattrs, value;
  while (format::next_xattr(left, xattr, value)) section.put(st.st_ino, 0, format::SetXattr{0, record.path, xattr, value});
  scanner_->moved(*new_dir, new_name);
  if (flags & (RENAME_EXCHANGE | RENAME_WHITEOUT)) scanner_->moved(*dir, name);
  if (record.flags & format::kRenameKeep) scanner_->left_nameless(*other);
  first.node = moved;
  second.node = other;
  return 0;
}

bool Filesystem::records_release(uint64_t id) {
  Node* target = node(id);
  return target != nullptr && table_.is_held(*target);
}

void Filesystem::release(uint64_t id, const FileHandle& handle, bool has_room) {
  Node* target = node(id);
  if (target == nullptr) return;
  int fd = handle.fd();
  uint64_t ino = target->ino;
  bool is_closed = fd >= 0 && !store_.note_close(*target, fd);  // by a process that was killed
  if (is_closed || !table_.remove_open_unless_held(*target)) {
    std::optional<Recorder::Room> room;
    if (!has_room) room.emplace(recorder_);
    Recorder::Section section(recorder_);
    bool is_let_go = is_closed ? table_.let_go_if_closed(*target) : table_.remove_open(*target);
    if (is_let_go) section.put(ino, 0, format::Forget{});
  }
  // Before its number can be another one's.
  if (Flight* flight = request_context().flight) flight->note_done();
  if (fd >= 0 && !is_closed) ::close(fd);
  if ((handle.raw() & FileHandle::kWrites) && !is_closed) writers_ -= 1;
}

}  // namespace tfs::journal
