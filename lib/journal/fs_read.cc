// The operations that change nothing. They take no lock: a read never waits for a write to another file, nor for the reader
// of the journal.
#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <utility>

#include "lib/journal/filesystem.h"
#include "lib/journal/workers.h"

namespace tfs::journal {

bool is_reserved(uint64_t parent, const char* name) { return parent == 1 && std::strcmp(name, kReservedName) == 0; }

// Without them the tests of order must turn red: that is what this macro is for, and for nothing else.
#ifdef TFS_TEST_WITHOUT_NODE_LOCKS
Filesystem::Locked::Locked(Node& a, Node&) : a_(&a) {}
Filesystem::Locked::~Locked() {}
#else
Filesystem::Locked::Locked(Node& a, Node& b) : a_(&a), b_(&a == &b ? nullptr : &b) {
  if (b_ != nullptr && b_->id < a_->id) std::swap(a_, b_);
  a_->lock.lock();
  if (b_ != nullptr) b_->lock.lock();
}

Filesystem::Locked::~Locked() {
  if (b_ != nullptr) b_->lock.unlock();
  a_->lock.unlock();
}
#endif

Filesystem::NameChange::NameChange(Node& a, Node& b) : locked_(a, b), a_(a), b_(b) {
  a_.changes.fetch_add(1);
  if (&a_ != &b_) b_.changes.fetch_add(1);
}

Filesystem::NameChange::~NameChange() {
  a_.changes.fetch_add(1);
  if (&a_ != &b_) b_.changes.fetch_add(1);
}

int Filesystem::lookup(uint64_t parent, const char* name, Entry& out) {
  Node* dir = node(parent);
  if (dir == nullptr) return ESTALE;
  if (is_reserved(parent, name)) return ENOENT;
  DirRef ref = store_.directory(*dir);
  if (!ref.is_open()) return -ref.fd();
  return lookup_in(*dir, ref.fd(), name, out);
}

// The kernel holds its own lock of the directory over nearly every lookup. Where it does not (an entry that is checked again
// after a day), a name must not be entered that an operation under way is about to change: then the lookup waits for it.
int Filesystem::lookup_in(Node& dir, int dir_fd, const char* name, Entry& out) {
  Identity identity;
  uint32_t changes = dir.changes.load();
  if (changes % 2 == 0) {
    if (int error = store_.identify(dir_fd, name, out.attributes, identity)) return error;
    Node* found = table_.enter_unless_changed(dir, name, identity, 1, changes);
    if (found != nullptr) {
      out.id = found->id;
      return 0;
    }
  }
  Locked locked(dir);
  if (int error = store_.identify(dir_fd, name, out.attributes, identity)) return error;
  out.id = table_.enter(dir, name, identity, 1).id;
  return 0;
}

int Filesystem::get_attributes(uint64_t id, const FileHandle* handle, struct stat& out) {
  if (handle != nullptr) return ::fstat(handle->fd(), &out) == 0 ? 0 : errno;
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  if (target->is_directory && target->grave < 0) {  // asked for after each change of its names
    DirRef ref = store_.directory(*target);
    if (!ref.is_open()) return -ref.fd();
    return ::fstatat(ref.fd(), "", &out, AT_EMPTY_PATH) == 0 ? 0 : errno;
  }
  int fd = store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  return ::fstatat(fd, "", &out, AT_EMPTY_PATH) == 0 ? 0 : errno;
}

int Filesystem::get_statx(uint64_t id, const FileHandle* handle, unsigned mask, struct statx& out) {
  if (handle != nullptr) return ::statx(handle->fd(), "", AT_EMPTY_PATH, mask, &out) == 0 ? 0 : errno;
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  int fd = store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  return ::statx(fd, "", AT_EMPTY_PATH, mask, &out) == 0 ? 0 : errno;
}

int Filesystem::read_link(uint64_t id, std::string& out) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  int fd = store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  out.resize(PATH_MAX);
  ssize_t n = ::readlinkat(fd, "", out.data(), out.size());
  if (n < 0) return errno;
  out.resize(static_cast<size_t>(n));
  return 0;
}

int Filesystem::open(uint64_t id, int flags, FileHandle& out) {
  Node* target = node(id);
  if (target == nullptr || !table_.add_open(*target)) return ESTALE;
  // What the kernel does itself must not be done twice: it sends the offset of an append, syncs by FSYNC, truncates by SETATTR.
  // O_DIRECT would ask for aligned buffers, O_SYNC could report an error of a write that has happened.
  constexpr int kNotOurs = O_APPEND | O_DIRECT | O_SYNC | O_DSYNC | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_NOATIME;
  int store_flags = (flags & ~(kNotOurs | O_ACCMODE)) | store_access(flags);
  int fd = store_.open_node(*target, store_flags);
  uint64_t bits = 0;
  if (fd == -EACCES && (store_flags & O_ACCMODE) != (flags & O_ACCMODE)) {  // an ordinary user's own, not to be read
    fd = store_.open_node(*target, flags & ~kNotOurs);
    bits = FileHandle::kUncached;
  }
  if (fd == -EPERM && (flags & O_APPEND)) {  // a file with the attribute 'a' must be opened for appending
    fd = store_.open_node(*target, (flags & ~kNotOurs) | O_APPEND);
    bits = FileHandle::kAppend | FileHandle::kUncached;  // page by page it would be written to its end
  }
  if (fd < 0) {
    release(id, FileHandle(-1, 0), false);
    return -fd;
  }
  out = note_open(*target, fd, flags, bits);
  return 0;
}

int Filesystem::store_access(int flags) const {
  int access = flags & O_ACCMODE;
  return has_writeback_ && access == O_WRONLY ? O_RDWR : access;
}

FileHandle Filesystem::note_open(Node& target, int fd, int flags, uint64_t bits) {
  store_.note_open(target, fd);
  if ((flags & O_ACCMODE) == O_RDONLY) return {fd, bits};
  writers_ += 1;
  return {fd, bits | FileHandle::kWrites};
}

void Filesystem::count_writers() {
  writers_ = std::ranges::count_if(store_.open_descriptors(), [](const auto& open) {
    int flags = ::fcntl(open.second, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
  });
}

int Filesystem::read(const FileHandle& handle, std::span<std::byte> into, uint64_t offset, size_t& out) {
  iovec part{into.data(), into.size()};
  ssize_t n = ::preadv2(handle.fd(), &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  if (n < 0 && errno == EAGAIN) Workers::step_aside();  // a disk is asked
  size_t done = static_cast<size_t>(std::max<ssize_t>(n, 0));
  if (done < into.size()) {
    n = ::pread(handle.fd(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && done == 0) return errno;
    done += static_cast<size_t>(std::max<ssize_t>(n, 0));
  }
  out = done;
  return 0;
}

int Filesystem::seek(const FileHandle& handle, int64_t offset, int whence, int64_t& out) {
  out = ::lseek(handle.fd(), offset, whence);
  return out < 0 ? errno : 0;
}

int Filesystem::statfs(struct statvfs& out) { return ::fstatvfs(store_.fd(), &out) == 0 ? 0 : errno; }

int Filesystem::get_xattr(uint64_t id, const char* name, std::span<char> into, size_t& size) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  if (target->lacks_capability && name == kCapability) return ENODATA;
  int fd = store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  ssize_t n = ::getxattr(ProcPath(fd).text, name, into.data(), into.size());
  if (n < 0) return errno;
  size = static_cast<size_t>(n);
  return 0;
}

int Filesystem::list_xattrs(uint64_t id, const Caller& caller, std::string& names) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  int fd = store_.open_node(*target, O_PATH | O_NOFOLLOW);
  if (fd < 0) return -fd;
  sys::Fd owned(fd);
  names.resize(XATTR_LIST_MAX);
  ssize_t n = ::listxattr(ProcPath(fd).text, names.data(), names.size());
  if (n < 0) return errno;
  names.resize(static_cast<size_t>(n));
  if (caller.uid == 0) return 0;
  // The kernel shows trusted.* to root alone; here it is we who asked.
  std::string visible;
  for (const char* at = names.data(); at < names.data() + names.size(); at += std::strlen(at) + 1) {
    if (std::strncmp(at, "trusted.", 8) != 0) visible.append(at, std::strlen(at) + 1);
  }
  names = std::move(visible);
  return 0;
}

// No state between calls: offsets are the store's own, which stay true while entries come and go.
namespace {

constexpr size_t kLargestListing = 32768;

// How much of a directory to read for `room` bytes of an answer: what does not fit into it is read once more for the next one.
size_t listing_size(size_t room, bool plus) {
  constexpr size_t kPlus = 5;  // so many times as long is an entry with its attributes, where the name is short
  return std::clamp(plus ? room / kPlus : room, sizeof(dirent64), kLargestListing);
}

}  // namespace

int Filesystem::read_dir(uint64_t id, int64_t offset, bool plus, size_t room, const AddEntry& add) {
  Node* dir = node(id);
  if (dir == nullptr) return ESTALE;
  DirRef ref = store_.directory(*dir);
  if (!ref.is_open()) return -ref.fd();
  sys::Fd listing(::openat(ref.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!listing.is_open()) return errno;
  if (offset != 0 && ::lseek(listing.get(), offset, SEEK_SET) < 0) return errno;
  alignas(dirent64) char buffer[kLargestListing];
  while (true) {
    ssize_t n = ::syscall(SYS_getdents64, listing.get(), buffer, listing_size(room, plus));
    if (n < 0) return errno;
    if (n == 0) return 0;
    for (ssize_t at = 0; at < n;) {
      const auto* e = reinterpret_cast<const dirent64*>(buffer + at);
      at += e->d_reclen;
      if (is_reserved(id, e->d_name)) continue;
      DirEntry found{e->d_name, e->d_ino, e->d_type, e->d_off, nullptr};
      Entry entry;
      bool is_dot = std::strcmp(e->d_name, ".") == 0 || std::strcmp(e->d_name, "..") == 0;
      if (plus && !is_dot) {
        // What went away meanwhile is passed over; what cannot be looked at (another filesystem) is listed by name alone.
        int error = lookup_in(*dir, ref.fd(), e->d_name, entry);
        if (error == ENOENT) continue;
        if (error == 0) found.entry = &entry;
      }
      std::optional<size_t> left = add(found);
      if (!left) {
        if (found.entry != nullptr) table_.forget(entry.id, 1);
        return 0;
      }
      room = *left;
    }
  }
}

}  // namespace tfs::journal
