// passthrough STORE MNT [-o OPTIONS]: shows STORE at MNT through FUSE and does nothing else. What `make bench` compares the
// mount of tfs_journal with: the plainest filesystem on libfuse's low-level interface, all of it as libfuse sets it by
// default. One O_PATH descriptor for each inode that the kernel knows, names and attributes good for a second, no journal.
//
// Runs in the foreground until MNT is unmounted.
#define FUSE_USE_VERSION 314

#include <dirent.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace {

constexpr double kTimeout = 1.0;  // of libfuse's own high-level interface

struct Node {
  int fd;
  ino_t ino;
  uint64_t lookups;
};

Node root{-1, 0, 1};
std::mutex nodes_mutex;
std::unordered_map<ino_t, Node*> nodes;  // one filesystem: other mounts below STORE are not looked into

Node& node_of(fuse_ino_t id) { return id == FUSE_ROOT_ID ? root : *reinterpret_cast<Node*>(id); }
int fd_of(fuse_ino_t id) { return node_of(id).fd; }
int fd_of(const fuse_file_info* fi) { return static_cast<int>(fi->fh); }

struct ProcPath {
  explicit ProcPath(int fd) { std::snprintf(text, sizeof text, "/proc/self/fd/%d", fd); }
  char text[40];
};

void reply(fuse_req_t req, int result) { fuse_reply_err(req, result < 0 ? errno : 0); }

// 0 or an errno.
int look_up(fuse_ino_t parent, const char* name, fuse_entry_param& e) {
  e = {};
  e.attr_timeout = e.entry_timeout = kTimeout;
  int fd = ::openat(fd_of(parent), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno;
  if (::fstatat(fd, "", &e.attr, AT_EMPTY_PATH) != 0) {
    int error = errno;
    ::close(fd);
    return error;
  }
  std::lock_guard guard(nodes_mutex);
  Node*& node = nodes[e.attr.st_ino];
  if (node == nullptr) {
    node = new Node{fd, e.attr.st_ino, 0};
  } else {
    ::close(fd);
  }
  node->lookups += 1;
  e.ino = reinterpret_cast<fuse_ino_t>(node);
  return 0;
}

void reply_entry(fuse_req_t req, fuse_ino_t parent, const char* name) {
  fuse_entry_param e;
  if (int error = look_up(parent, name, e)) {
    fuse_reply_err(req, error);
  } else {
    fuse_reply_entry(req, &e);
  }
}

void forget_one(fuse_ino_t id, uint64_t lookups) {
  if (id == FUSE_ROOT_ID) return;
  std::lock_guard guard(nodes_mutex);
  Node& node = node_of(id);
  node.lookups -= lookups;
  if (node.lookups > 0) return;
  nodes.erase(node.ino);
  ::close(node.fd);
  delete &node;
}

// Objects belong to who asked for them.
void give_to_caller(fuse_req_t req, fuse_ino_t parent, const char* name) {
  const fuse_ctx* ctx = fuse_req_ctx(req);
  if (ctx->uid == 0 && ctx->gid == 0) return;
  if (::fchownat(fd_of(parent), name, ctx->uid, ctx->gid, AT_SYMLINK_NOFOLLOW) != 0) return;
}

void made(fuse_req_t req, int result, fuse_ino_t parent, const char* name) {
  if (result < 0) return reply(req, result);
  give_to_caller(req, parent, name);
  reply_entry(req, parent, name);
}

// --- names

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) { reply_entry(req, parent, name); }

void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups) {
  forget_one(id, lookups);
  fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; i++) forget_one(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  made(req, ::mknodat(fd_of(parent), name, mode, device), parent, name);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  made(req, ::mkdirat(fd_of(parent), name, mode), parent, name);
}

void op_symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  made(req, ::symlinkat(target, fd_of(parent), name), parent, name);
}

void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char* name) {
  int result = ::linkat(AT_FDCWD, ProcPath(fd_of(id)).text, fd_of(parent), name, AT_SYMLINK_FOLLOW);
  if (result < 0) return reply(req, result);
  reply_entry(req, parent, name);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char* name) { reply(req, ::unlinkat(fd_of(parent), name, 0)); }
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char* name) { reply(req, ::unlinkat(fd_of(parent), name, AT_REMOVEDIR)); }

void op_rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name, unsigned flags) {
  reply(req, ::renameat2(fd_of(parent), name, fd_of(new_parent), new_name, flags));
}

void op_readlink(fuse_req_t req, fuse_ino_t id) {
  char target[PATH_MAX + 1];
  ssize_t n = ::readlinkat(fd_of(id), "", target, PATH_MAX);
  if (n < 0) return reply(req, -1);
  target[n] = '\0';
  fuse_reply_readlink(req, target);
}

// --- attributes

void op_getattr(fuse_req_t req, fuse_ino_t id, fuse_file_info*) {
  struct stat st;
  if (::fstatat(fd_of(id), "", &st, AT_EMPTY_PATH) != 0) return reply(req, -1);
  fuse_reply_attr(req, &st, kTimeout);
}

int set_attributes(fuse_ino_t id, const struct stat& to, int valid, const fuse_file_info* fi) {
  int fd = fd_of(id);
  ProcPath path(fd);
  if ((valid & FUSE_SET_ATTR_MODE) && ::chmod(path.text, to.st_mode) != 0) return -1;
  if (valid & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
    uid_t uid = valid & FUSE_SET_ATTR_UID ? to.st_uid : static_cast<uid_t>(-1);
    gid_t gid = valid & FUSE_SET_ATTR_GID ? to.st_gid : static_cast<gid_t>(-1);
    if (::fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) return -1;
  }
  if (valid & FUSE_SET_ATTR_SIZE) {
    if ((fi != nullptr ? ::ftruncate(fd_of(fi), to.st_size) : ::truncate(path.text, to.st_size)) != 0) return -1;
  }
  if (valid & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) {
    timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    if (valid & FUSE_SET_ATTR_ATIME) times[0] = valid & FUSE_SET_ATTR_ATIME_NOW ? timespec{0, UTIME_NOW} : to.st_atim;
    if (valid & FUSE_SET_ATTR_MTIME) times[1] = valid & FUSE_SET_ATTR_MTIME_NOW ? timespec{0, UTIME_NOW} : to.st_mtim;
    if (::utimensat(fd, "", times, AT_EMPTY_PATH) != 0) return -1;
  }
  return 0;
}

void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat* to, int valid, fuse_file_info* fi) {
  if (set_attributes(id, *to, valid, fi) != 0) return reply(req, -1);
  op_getattr(req, id, fi);
}

void op_setxattr(fuse_req_t req, fuse_ino_t id, const char* name, const char* value, size_t size, int flags) {
  reply(req, ::setxattr(ProcPath(fd_of(id)).text, name, value, size, flags));
}

void op_removexattr(fuse_req_t req, fuse_ino_t id, const char* name) {
  reply(req, ::removexattr(ProcPath(fd_of(id)).text, name));
}

void reply_value(fuse_req_t req, size_t size, const std::vector<char>& value, ssize_t n) {
  if (n < 0) return reply(req, -1);
  if (size == 0) {
    fuse_reply_xattr(req, static_cast<size_t>(n));
  } else {
    fuse_reply_buf(req, value.data(), static_cast<size_t>(n));
  }
}

void op_getxattr(fuse_req_t req, fuse_ino_t id, const char* name, size_t size) {
  std::vector<char> value(size);
  reply_value(req, size, value, ::getxattr(ProcPath(fd_of(id)).text, name, value.data(), size));
}

void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size) {
  std::vector<char> names(size);
  reply_value(req, size, names, ::listxattr(ProcPath(fd_of(id)).text, names.data(), size));
}

void op_statfs(fuse_req_t req, fuse_ino_t id) {
  struct statvfs st;
  if (::fstatvfs(fd_of(id), &st) != 0) return reply(req, -1);
  fuse_reply_statfs(req, &st);
}

// --- files

void op_open(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
  int fd = ::open(ProcPath(fd_of(id)).text, fi->flags & ~O_NOFOLLOW);
  if (fd < 0) return reply(req, -1);
  fi->fh = static_cast<uint64_t>(fd);
  fuse_reply_open(req, fi);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* fi) {
  int fd = ::openat(fd_of(parent), name, (fi->flags | O_CREAT) & ~O_NOFOLLOW, mode);
  if (fd < 0) return reply(req, -1);
  fi->fh = static_cast<uint64_t>(fd);
  give_to_caller(req, parent, name);
  fuse_entry_param e;
  if (int error = look_up(parent, name, e)) {
    ::close(fd);
    fuse_reply_err(req, error);
  } else {
    fuse_reply_create(req, &e, fi);
  }
}

// A stretch of an open file, which libfuse reads or writes itself: by splice where it can.
fuse_bufvec part_of(const fuse_file_info* fi, size_t size, off_t offset) {
  fuse_bufvec part{};
  part.count = 1;
  part.buf[0].size = size;
  part.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  part.buf[0].fd = fd_of(fi);
  part.buf[0].pos = offset;
  return part;
}

void op_read(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
  fuse_bufvec source = part_of(fi, size, offset);
  fuse_reply_data(req, &source, FUSE_BUF_SPLICE_MOVE);
}

void op_write_buf(fuse_req_t req, fuse_ino_t, fuse_bufvec* from, off_t offset, fuse_file_info* fi) {
  fuse_bufvec to = part_of(fi, fuse_buf_size(from), offset);
  ssize_t n = fuse_buf_copy(&to, from, static_cast<fuse_buf_copy_flags>(0));
  if (n < 0) {
    fuse_reply_err(req, static_cast<int>(-n));
  } else {
    fuse_reply_write(req, static_cast<size_t>(n));
  }
}

void op_flush(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) { reply(req, ::close(::dup(fd_of(fi)))); }

void op_release(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  ::close(fd_of(fi));
  fuse_reply_err(req, 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t, int data_only, fuse_file_info* fi) {
  reply(req, data_only ? ::fdatasync(fd_of(fi)) : ::fsync(fd_of(fi)));
}

void op_fallocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info* fi) {
  reply(req, ::fallocate(fd_of(fi), mode, offset, length));
}

void op_lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* fi) {
  off_t at = ::lseek(fd_of(fi), offset, whence);
  if (at < 0) return reply(req, -1);
  fuse_reply_lseek(req, at);
}

void op_copy(fuse_req_t req, fuse_ino_t, off_t from_offset, fuse_file_info* from, fuse_ino_t, off_t to_offset, fuse_file_info* to,
             size_t length, int flags) {
  ssize_t n = ::copy_file_range(fd_of(from), &from_offset, fd_of(to), &to_offset, length, static_cast<unsigned>(flags));
  if (n < 0) return reply(req, -1);
  fuse_reply_write(req, static_cast<size_t>(n));
}

// --- directories

struct Listing {
  DIR* dir;
  dirent* held = nullptr;  // read, and not delivered yet
  off_t offset = 0;
};

Listing& listing_of(const fuse_file_info* fi) { return *reinterpret_cast<Listing*>(fi->fh); }

void op_opendir(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
  int fd = ::openat(fd_of(id), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = fd < 0 ? nullptr : ::fdopendir(fd);
  if (dir == nullptr) return reply(req, -1);
  fi->fh = reinterpret_cast<uint64_t>(new Listing{dir});
  fuse_reply_open(req, fi);
}

void list(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* fi, bool plus) {
  Listing& l = listing_of(fi);
  std::vector<char> out(size);
  size_t used = 0;
  if (offset != l.offset) {
    ::seekdir(l.dir, offset);
    l.held = nullptr;
    l.offset = offset;
  }
  while (true) {
    if (l.held == nullptr) l.held = ::readdir(l.dir);
    if (l.held == nullptr) break;
    const char* name = l.held->d_name;
    bool is_dot = std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
    fuse_entry_param e{};
    e.attr.st_ino = l.held->d_ino;
    e.attr.st_mode = static_cast<mode_t>(l.held->d_type) << 12;
    if (plus && !is_dot && look_up(id, name, e) != 0) e.ino = 0;
    size_t left = size - used;
    size_t need = plus ? fuse_add_direntry_plus(req, out.data() + used, left, name, &e, l.held->d_off)
                       : fuse_add_direntry(req, out.data() + used, left, name, &e.attr, l.held->d_off);
    if (need > left) {
      if (plus && !is_dot && e.ino != 0) forget_one(e.ino, 1);
      break;
    }
    used += need;
    l.offset = l.held->d_off;
    l.held = nullptr;
  }
  fuse_reply_buf(req, out.data(), used);
}

void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* fi) {
  list(req, id, size, offset, fi, false);
}
void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* fi) {
  list(req, id, size, offset, fi, true);
}

void op_releasedir(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  ::closedir(listing_of(fi).dir);
  delete &listing_of(fi);
  fuse_reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t, int, fuse_file_info* fi) { reply(req, ::fsync(::dirfd(listing_of(fi).dir))); }

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops o{};
  o.lookup = op_lookup;
  o.forget = op_forget;
  o.forget_multi = op_forget_multi;
  o.getattr = op_getattr;
  o.setattr = op_setattr;
  o.readlink = op_readlink;
  o.mknod = op_mknod;
  o.mkdir = op_mkdir;
  o.unlink = op_unlink;
  o.rmdir = op_rmdir;
  o.symlink = op_symlink;
  o.rename = op_rename;
  o.link = op_link;
  o.open = op_open;
  o.read = op_read;
  o.write_buf = op_write_buf;
  o.flush = op_flush;
  o.release = op_release;
  o.fsync = op_fsync;
  o.opendir = op_opendir;
  o.readdir = op_readdir;
  o.readdirplus = op_readdirplus;
  o.releasedir = op_releasedir;
  o.fsyncdir = op_fsyncdir;
  o.statfs = op_statfs;
  o.setxattr = op_setxattr;
  o.getxattr = op_getxattr;
  o.listxattr = op_listxattr;
  o.removexattr = op_removexattr;
  o.create = op_create;
  o.fallocate = op_fallocate;
  o.lseek = op_lseek;
  o.copy_file_range = op_copy;
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: passthrough STORE MNT [-o OPTIONS]\n");
    return 2;
  }
  root.fd = ::open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root.fd < 0) return std::perror(argv[1]), 1;
  ::umask(0);
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&args, argv[0]);
  for (int i = 3; i < argc; i++) fuse_opt_add_arg(&args, argv[i]);
  fuse_lowlevel_ops ops = operations();
  fuse_session* session = fuse_session_new(&args, &ops, sizeof ops, nullptr);
  if (session == nullptr || fuse_session_mount(session, argv[2]) != 0) return 1;
  int result = fuse_session_loop_mt(session, nullptr);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  fuse_opt_free_args(&args);
  return result != 0;
}
