#include "lib/journal/fuse_operations.h"

#include <fcntl.h>
#include <linux/fs.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "lib/journal/fuse_bits.h"
#include "lib/journal/fuse_version.h"
#include "lib/journal/request_context.h"
#include "lib/journal/session.h"

namespace tfs::journal {
namespace {

Session& session_of(fuse_req_t req) { return *static_cast<Session*>(fuse_req_userdata(req)); }
Filesystem& fs(fuse_req_t req) { return session_of(req).filesystem(); }

Caller caller_of(fuse_req_t req) {
  const fuse_ctx* ctx = fuse_req_ctx(req);
  return {ctx->uid, ctx->gid, ctx->umask};
}

void present(fuse_req_t req, struct stat& st) { present_attributes(session_of(req).options(), st); }

fuse_entry_param entry_param(fuse_req_t req, const Entry& entry) {
  fuse_entry_param e{};
  e.ino = entry.id;
  e.attr = entry.attributes;
  e.attr_timeout = e.entry_timeout = kForever;
  present(req, e.attr);
  return e;
}

void reply_error(fuse_req_t req, int error) { fuse_reply_err(req, error); }

// Where the caller was interrupted the reply fails and the kernel does not count the lookup.
void reply_entry(fuse_req_t req, int error, const Entry& entry) {
  if (error != 0) return reply_error(req, error);
  fuse_entry_param e = entry_param(req, entry);
  Filesystem& filesystem = fs(req);
  if (fuse_reply_entry(req, &e) == -ENOENT) filesystem.forget(entry.id, 1);
}

FileHandle handle_of(const fuse_file_info* fi) { return FileHandle(fi->fh); }

// Without the writeback cache who only writes needs no page cache of the mount's (a copy less: 128 KiB at a time come 1.6 times as fast); the kernel keeps the
// pages of those who read and map the file true. Nothing else can be asked of such a descriptor: it can be neither read nor mapped.
void set_caching(fuse_req_t req, const FileHandle& handle, fuse_file_info* fi) {
  bool only_writes = (fi->flags & O_ACCMODE) == O_WRONLY, has_writeback = session_of(req).options().has_writeback;
  fi->fh = handle.raw();
  fi->direct_io = (only_writes && !has_writeback) || (handle.raw() & FileHandle::kUncached) ? 1 : 0;
  fi->keep_cache = 1;
}

// From libfuse 3.17 on there is a way for features of all 64 bits; before, what libfuse does not know is put into its answer (session.cc).
void set_features(fuse_conn_info* conn, uint64_t wanted, uint64_t unwanted) {
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
  for (uint64_t bit = 1; bit != 0; bit <<= 1) {
    if (wanted & bit) fuse_set_feature_flag(conn, bit);  // where the kernel has it
    if (unwanted & bit) fuse_unset_feature_flag(conn, bit);
  }
#else
  conn->want = static_cast<unsigned>((conn->want | (conn->capable & wanted)) & ~unwanted);
#endif
}

void op_init(void* session, fuse_conn_info* conn) {
  uint64_t wanted = FUSE_CAP_DONT_MASK | FUSE_CAP_POSIX_ACL | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                    FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_PARALLEL_DIROPS;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
  wanted |= FUSE_CAP_HANDLE_KILLPRIV_V2;
#endif
  // ATOMIC_O_TRUNC would truncate without the kernel's lock and keep set-id bits. Spliced payloads cannot be copied once.
  // Locks are the kernel's own business on one machine. Data changes through us alone: no invalidation by mtime.
  uint64_t unwanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                      FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_AUTO_INVAL_DATA;
  bool has_writeback = static_cast<Session*>(session)->options().has_writeback;
  (has_writeback ? wanted : unwanted) |= FUSE_CAP_WRITEBACK_CACHE;
  bool has_uring = static_cast<Session*>(session)->uses_uring();
  if (has_uring) unwanted |= FUSE_CAP_ASYNC_READ;
  set_features(conn, wanted, unwanted);
  conn->max_write = format::kMaxData;
  // What the kernel sends in the background (readahead, pages of mappings, asynchronous I/O) waits in one queue: writes that
  // wait for the journal's reader must not fill it. The flusher stops by itself at the threshold.
  // Through io_uring each has a thread: there are fewer, and what is read is not among them.
  conn->max_background = has_uring ? UringQueues::kMost / 4 : 65535;
  conn->congestion_threshold = 48;
  conn->time_gran = 1;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Entry entry;
  int error = fs(req).lookup(parent, name, entry);
  if (error == ENOENT) {  // remembered by the kernel: nobody but us can make it
    fuse_entry_param none{};
    none.entry_timeout = kForever;
    fuse_reply_entry(req, &none);
    return;
  }
  reply_entry(req, error, entry);
}

void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups) {
  fs(req).forget(id, lookups);
  fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; i++) fs(req).forget(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

void op_getattr(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
  struct stat st {};
  FileHandle handle;
  if (fi != nullptr) handle = handle_of(fi);
  if (int error = fs(req).get_attributes(id, fi != nullptr ? &handle : nullptr, st)) return reply_error(req, error);
  present(req, st);
  fuse_reply_attr(req, &st, kForever);
}

void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat* values, int valid, fuse_file_info* fi) {
  AttributeChange change;
  change.valid = valid;
  change.values = *values;
  change.kills_set_id = (valid & kFuseKillSetId) != 0;
  FileHandle handle;
  if (fi != nullptr) handle = handle_of(fi);
  if (fi != nullptr) change.handle = &handle;
  struct stat st {};
  if (int error = fs(req).set_attributes(id, change, st)) return reply_error(req, error);
  present(req, st);
  fuse_reply_attr(req, &st, kForever);
}

void op_readlink(fuse_req_t req, fuse_ino_t id) {
  std::string target;
  if (int error = fs(req).read_link(id, target)) return reply_error(req, error);
  fuse_reply_readlink(req, target.c_str());
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  Entry entry;
  reply_entry(req, fs(req).make_node(parent, name, mode, device, caller_of(req), entry), entry);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  Entry entry;
  reply_entry(req, fs(req).make_dir(parent, name, mode, caller_of(req), entry), entry);
}

void op_symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  Entry entry;
  reply_entry(req, fs(req).make_symlink(parent, name, target, caller_of(req), entry), entry);
}

void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char* name) {
  Entry entry;
  reply_entry(req, fs(req).link(id, parent, name, entry), entry);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char* name) { reply_error(req, fs(req).unlink(parent, name)); }
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char* name) { reply_error(req, fs(req).remove_dir(parent, name)); }

void op_rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name, unsigned flags) {
  reply_error(req, fs(req).rename(parent, name, new_parent, new_name, flags, caller_of(req)));
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* fi) {
  Entry entry;
  FileHandle handle;
  if (int error = fs(req).create(parent, name, mode, fi->flags, caller_of(req), entry, handle)) {
    return reply_error(req, error);
  }
  fuse_entry_param e = entry_param(req, entry);
  set_caching(req, handle, fi);
  Filesystem& filesystem = fs(req);
  if (fuse_reply_create(req, &e, fi) == -ENOENT) {  // interrupted: neither RELEASE nor FORGET will come
    filesystem.release(entry.id, handle, true);
    filesystem.forget(entry.id, 1);
  }
}

void op_open(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
  FileHandle handle;
  if (int error = fs(req).open(id, fi->flags, handle)) return reply_error(req, error);
  set_caching(req, handle, fi);
  Filesystem& filesystem = fs(req);
  if (fuse_reply_open(req, fi) == -ENOENT) filesystem.release(id, handle, false);
}

void op_read(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
  std::span<std::byte> buffer = reply_buffer(size);
  size_t read = 0;
  if (int error = fs(req).read(handle_of(fi), buffer, static_cast<uint64_t>(offset), read)) return reply_error(req, error);
  fuse_reply_buf(req, reinterpret_cast<const char*>(buffer.data()), read);
}

void op_write(fuse_req_t req, fuse_ino_t id, const char* data, size_t size, off_t offset, fuse_file_info* fi) {
  size_t written = 0;
  int error = fs(req).write(id, handle_of(fi), as_bytes({data, size}), static_cast<uint64_t>(offset),
                            {request_context().kills_set_id, request_context().is_cached_write}, written);
  if (error != 0) return reply_error(req, error);
  fuse_reply_write(req, written);
}

void op_fsync(fuse_req_t req, fuse_ino_t id, int data_only, fuse_file_info* fi) {
  FileHandle handle = handle_of(fi);
  reply_error(req, fs(req).sync(id, &handle, data_only != 0));
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only, fuse_file_info*) {
  reply_error(req, fs(req).sync(id, nullptr, data_only != 0));
}

// Directories keep no state: the kernel is told so once and asks no more.
void op_opendir(fuse_req_t req, fuse_ino_t, fuse_file_info*) { reply_error(req, ENOSYS); }

void list(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, bool plus) {
  std::span<std::byte> buffer = reply_buffer(size);
  char* out = reinterpret_cast<char*>(buffer.data());
  size_t used = 0;
  auto add = [&](const Filesystem::DirEntry& found) -> std::optional<size_t> {
    fuse_entry_param e{};
    if (found.entry != nullptr) {
      e = entry_param(req, *found.entry);
    } else {
      e.attr.st_ino = found.ino;
      e.attr.st_mode = static_cast<mode_t>(found.type) << 12;
    }
    size_t left = size - used;
    size_t need = plus ? fuse_add_direntry_plus(req, out + used, left, found.name, &e, found.next)
                       : fuse_add_direntry(req, out + used, left, found.name, &e.attr, found.next);
    if (need > left) return {};
    used += need;
    return size - used;
  };
  if (int error = fs(req).read_dir(id, offset, plus, size, add)) {
    if (used == 0) return reply_error(req, error);
  }
  fuse_reply_buf(req, out, used);
}

void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info*) { list(req, id, size, offset, false); }
void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info*) {
  list(req, id, size, offset, true);
}

void op_statfs(fuse_req_t req, fuse_ino_t) {
  struct statvfs st {};
  if (int error = fs(req).statfs(st)) return reply_error(req, error);
  fuse_reply_statfs(req, &st);
}

void op_setxattr(fuse_req_t req, fuse_ino_t id, const char* name, const char* value, size_t size, int flags) {
  reply_error(req, fs(req).set_xattr(id, name, as_bytes({value, size}), flags, false, 0));
}

// Both sizes of question: size 0 asks how long the answer is.
void op_getxattr(fuse_req_t req, fuse_ino_t id, const char* name, size_t size) {
  std::span<std::byte> buffer = thread_buffer(size);
  size_t answer = 0;
  std::span<char> into(reinterpret_cast<char*>(buffer.data()), size);
  if (int error = fs(req).get_xattr(id, name, into, answer)) return reply_error(req, error);
  if (size == 0) {
    fuse_reply_xattr(req, answer);
  } else {
    fuse_reply_buf(req, into.data(), answer);
  }
}

void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size) {
  std::string names;
  if (int error = fs(req).list_xattrs(id, caller_of(req), names)) return reply_error(req, error);
  if (size == 0) {
    fuse_reply_xattr(req, names.size());
  } else if (names.size() > size) {
    reply_error(req, ERANGE);
  } else {
    fuse_reply_buf(req, names.data(), names.size());
  }
}

void op_removexattr(fuse_req_t req, fuse_ino_t id, const char* name) { reply_error(req, fs(req).remove_xattr(id, name)); }

void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length, fuse_file_info* fi) {
  reply_error(req, fs(req).fallocate(id, handle_of(fi), mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(length),
                                     caller_of(req)));
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t source, off_t from_offset, fuse_file_info* from, fuse_ino_t target,
                        off_t to_offset, fuse_file_info* to, size_t length, int) {
  size_t copied = 0;
  int error = fs(req).copy(source, handle_of(from), static_cast<uint64_t>(from_offset), target, handle_of(to),
                           static_cast<uint64_t>(to_offset), length, caller_of(req), copied);
  if (error != 0) return reply_error(req, error);
  fuse_reply_write(req, copied);
}

void op_lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* fi) {
  // With the writeback cache there may be data that we have not got where the store has a hole, and the kernel does not look. It then
  // asks no more, and takes all for data.
  if (session_of(req).options().has_writeback) return reply_error(req, ENOSYS);
  int64_t at = 0;
  if (int error = fs(req).seek(handle_of(fi), offset, whence, at)) return reply_error(req, error);
  fuse_reply_lseek(req, at);
}

void op_ioctl(fuse_req_t req, fuse_ino_t id, unsigned int request, void*, fuse_file_info*, unsigned, const void* in,
              size_t in_size, size_t out_size) {
  if (Control::is_ours(request)) {
    if (id != FUSE_ROOT_ID) return reply_error(req, ENOTTY);
    std::span<std::byte> answer = thread_buffer(sizeof(control::ScanRequest));
    int error = session_of(req).control().answer(request, fuse_req_ctx(req)->uid, in, in_size, answer.data());
    if (error != 0) return reply_error(req, error);
    fuse_reply_ioctl(req, 0, answer.data(), out_size);
    return;
  }
  alignas(8) char value[sizeof(fsxattr)] = {};
  bool is_flags = request == FS_IOC_GETFLAGS || request == FS_IOC_SETFLAGS;
  bool is_attributes = request == FS_IOC_FSGETXATTR || request == FS_IOC_FSSETXATTR;
  size_t size = is_attributes ? sizeof(fsxattr) : sizeof(unsigned int);
  if (!is_flags && !is_attributes) return reply_error(req, ENOTTY);
  bool is_set = request == FS_IOC_SETFLAGS || request == FS_IOC_FSSETXATTR;
  if (is_set ? in_size < size : out_size < size) return reply_error(req, EINVAL);
  if (is_set) {
    std::memcpy(value, in, size);
    if (int error = fs(req).set_inode_flags(id, request, value)) return reply_error(req, error);
    fuse_reply_ioctl(req, 0, nullptr, 0);
  } else {
    if (int error = fs(req).get_inode_flags(id, request, value)) return reply_error(req, error);
    fuse_reply_ioctl(req, 0, value, size);
  }
}

// libfuse is C: an exception that went through it would leave it half done.
template <auto function>
struct Guard;
template <class... Args, void (*function)(Args...)>
struct Guard<function> {
  static void call(Args... args) noexcept { function(args...); }
};

}  // namespace

void fill_operations(void* operations) {
  auto& o = *static_cast<fuse_lowlevel_ops*>(operations);
  o = {};
  o.init = Guard<op_init>::call;
  o.lookup = Guard<op_lookup>::call;
  o.forget = Guard<op_forget>::call;
  o.forget_multi = Guard<op_forget_multi>::call;
  o.getattr = Guard<op_getattr>::call;
  o.setattr = Guard<op_setattr>::call;
  o.readlink = Guard<op_readlink>::call;
  o.mknod = Guard<op_mknod>::call;
  o.mkdir = Guard<op_mkdir>::call;
  o.symlink = Guard<op_symlink>::call;
  o.link = Guard<op_link>::call;
  o.unlink = Guard<op_unlink>::call;
  o.rmdir = Guard<op_rmdir>::call;
  o.rename = Guard<op_rename>::call;
  o.create = Guard<op_create>::call;
  o.open = Guard<op_open>::call;
  o.read = Guard<op_read>::call;
  o.write = Guard<op_write>::call;
  o.fsync = Guard<op_fsync>::call;
  o.fsyncdir = Guard<op_fsyncdir>::call;
  o.opendir = Guard<op_opendir>::call;
  o.readdir = Guard<op_readdir>::call;
  o.readdirplus = Guard<op_readdirplus>::call;
  o.statfs = Guard<op_statfs>::call;
  o.setxattr = Guard<op_setxattr>::call;
  o.getxattr = Guard<op_getxattr>::call;
  o.listxattr = Guard<op_listxattr>::call;
  o.removexattr = Guard<op_removexattr>::call;
  o.fallocate = Guard<op_fallocate>::call;
  o.copy_file_range = Guard<op_copy_file_range>::call;
  o.lseek = Guard<op_lseek>::call;
  o.ioctl = Guard<op_ioctl>::call;
  // Left out: flush (a round trip at each close for nothing), access (default_permissions), locks (local, in the kernel).
}

}  // namespace tfs::journal
