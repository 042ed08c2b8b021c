#include "lib/journal/raw_requests.h"

#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/journal/fuse_bits.h"
#include "lib/journal/fuse_operations.h"
#include "lib/journal/request_context.h"
#include "lib/journal/session.h"

namespace tfs::journal {
namespace {

struct SetxattrIn {
  uint32_t size, flags, setxattr_flags, padding;
};

struct StatxIn {
  uint32_t getattr_flags, reserved;
  uint64_t handle;
  uint32_t statx_flags, mask;
};

struct StatxOut {
  uint64_t valid;
  uint32_t valid_nsec, flags;
  uint64_t spare[2];
  struct statx attributes;
};
static_assert(sizeof(StatxOut) == 32 + 256);

constexpr uint32_t kGetattrHandle = 1;

const fuse_in_header& header_of(const RawRequest& request) { return *reinterpret_cast<fuse_in_header*>(request.bytes); }

// The fixed part of a request, or null where it is too short: the kernel is no enemy, but a bound is a bound.
template <class T>
const T* body_of(const RawRequest& request) {
  if (request.size < sizeof(fuse_in_header) + sizeof(T)) return nullptr;
  return reinterpret_cast<const T*>(request.bytes + sizeof(fuse_in_header));
}

void fill_attributes(const struct stat& st, fuse_attr& out) {
  out = {};
  out.ino = st.st_ino;
  out.size = static_cast<uint64_t>(st.st_size);
  out.blocks = static_cast<uint64_t>(st.st_blocks);
  out.atime = static_cast<uint64_t>(st.st_atim.tv_sec);
  out.mtime = static_cast<uint64_t>(st.st_mtim.tv_sec);
  out.ctime = static_cast<uint64_t>(st.st_ctim.tv_sec);
  out.atimensec = static_cast<uint32_t>(st.st_atim.tv_nsec);
  out.mtimensec = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  out.ctimensec = static_cast<uint32_t>(st.st_ctim.tv_nsec);
  out.mode = st.st_mode;
  out.nlink = static_cast<uint32_t>(st.st_nlink);
  out.uid = st.st_uid;
  out.gid = st.st_gid;
  out.blksize = static_cast<uint32_t>(st.st_blksize);
}

}  // namespace

bool changes_something(const fuse_in_header& header) {
  switch (header.opcode) {
    case FUSE_SETATTR:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
    case FUSE_WRITE:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_CREATE:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case kOpTmpfile: return true;
    case FUSE_IOCTL:
      return !Control::is_ours(reinterpret_cast<const fuse_ioctl_in*>(&header + 1)->cmd);  // they wait by themselves
    default: return false;
  }
}

int reply_raw(int fd, uint64_t unique, int error, ByteView body) {
  fuse_out_header head{};
  head.len = static_cast<uint32_t>(sizeof head + body.size());
  head.error = -error;
  head.unique = unique;
  iovec parts[] = {{&head, sizeof head}, {const_cast<std::byte*>(body.data()), body.size()}};
  return send_reply(fd, std::span(parts).first(body.empty() ? 1 : 2)) < 0 ? errno : 0;
}

void do_release(Filesystem& filesystem, const RawRequest& request, bool has_room) {
  const auto* in = body_of<fuse_release_in>(request);
  if (in != nullptr) filesystem.release(header_of(request).nodeid, FileHandle(in->fh), has_room);
}

void answer_setxattr(Filesystem& filesystem, const RawRequest& request) {
  const fuse_in_header& header = header_of(request);
  const auto* in = body_of<SetxattrIn>(request);
  int error = EINVAL;
  if (in != nullptr) {
    const char* name = reinterpret_cast<const char*>(in + 1);
    size_t left = request.size - sizeof(fuse_in_header) - sizeof *in;
    size_t length = ::strnlen(name, left);
    if (length < left && in->size <= left - length - 1) {
      bool kills_sgid = (in->setxattr_flags & kSetxattrAclKillSgid) != 0;
      error = filesystem.set_xattr(header.nodeid, name, as_bytes({name + length + 1, in->size}), static_cast<int>(in->flags),
                                   kills_sgid, header.gid);
    }
  }
  reply_raw(request.fd, header.unique, error, {});
}

void answer_tmpfile(Session& session, const RawRequest& request) {
  const fuse_in_header& header = header_of(request);
  const auto* in = body_of<fuse_create_in>(request);
  if (in == nullptr) {
    reply_raw(request.fd, header.unique, EINVAL, {});
    return;
  }
  Filesystem& filesystem = session.filesystem();
  Caller caller{header.uid, header.gid, in->umask};
  Entry entry;
  FileHandle handle;
  int error = filesystem.make_tmpfile(header.nodeid, in->mode, static_cast<int>(in->flags), caller, entry, handle);
  if (error != 0) {
    reply_raw(request.fd, header.unique, error, {});
    return;
  }
  struct {
    fuse_entry_out entry;
    fuse_open_out open;
  } out{};
  out.entry.nodeid = entry.id;
  out.entry.entry_valid = out.entry.attr_valid = static_cast<uint64_t>(kForever);
  present_attributes(session.options(), entry.attributes);
  fill_attributes(entry.attributes, out.entry.attr);
  out.open.fh = handle.raw();
  out.open.open_flags = FOPEN_KEEP_CACHE;
  if (reply_raw(request.fd, header.unique, 0, std::as_bytes(std::span(&out, 1))) == ENOENT) {
    filesystem.release(entry.id, handle, true);
    filesystem.forget(entry.id, 1);
  }
}

void answer_statx(Session& session, const RawRequest& request) {
  const fuse_in_header& header = header_of(request);
  const auto* in = body_of<StatxIn>(request);
  if (in == nullptr) {
    reply_raw(request.fd, header.unique, EINVAL, {});
    return;
  }
  FileHandle handle(in->handle);
  StatxOut out{};
  int error = session.filesystem().get_statx(header.nodeid, in->getattr_flags & kGetattrHandle ? &handle : nullptr, in->mask,
                                             out.attributes);
  if (error != 0) {
    reply_raw(request.fd, header.unique, error, {});
    return;
  }
  const MountOptions& options = session.options();
  if (options.shows_uid) out.attributes.stx_uid = options.uid;
  if (options.shows_gid) out.attributes.stx_gid = options.gid;
  if (options.shows_mode) {
    out.attributes.stx_mode = static_cast<uint16_t>((out.attributes.stx_mode & S_IFMT) | (0777 & ~options.umask));
  }
  // The protocol's structure is that of 2022: what came later is spare there.
  constexpr size_t kKnown = 144;
  std::memset(reinterpret_cast<char*>(&out.attributes) + kKnown, 0, sizeof out.attributes - kKnown);
  out.valid = static_cast<uint64_t>(kForever);
  reply_raw(request.fd, header.unique, 0, std::as_bytes(std::span(&out, 1)));
}

}  // namespace tfs::journal
