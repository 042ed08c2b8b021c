// The operations that change what is in a file.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lib/journal/filesystem.h"

namespace tfs::journal {
namespace {

constexpr size_t kMaxCopy = size_t{64} << 20;  // at once: both files are locked meanwhile, and callers ask again

bool has_set_id(const struct stat& st) { return (st.st_mode & (S_ISUID | S_ISGID)) != 0; }

// Or may have some.
bool has_set_id(int fd) {
  struct stat st;
  return ::fstat(fd, &st) != 0 || has_set_id(st);
}

}  // namespace

bool may_have_begun(int error) { return error == ENOSPC || error == EDQUOT || error == EIO; }

// The kernel takes set-id bits and sets mtime before it finds out whether a call is possible.
int Filesystem::failed(Node& target, int fd, bool takes_bits) {
  int error = errno;
  struct stat st;
  if (read_back(fd, st) != 0) return error;
  if (takes_bits) stale_attributes_(target.id);
  format::SetAttr record;
  record.valid = takes_bits ? format::kSetMode | format::kSetMtime : format::kSetMtime;
  record.mode = st.st_mode;
  record.mtime = to_time(st.st_mtim);
  Recorder::Section section(recorder_);
  record.path = section.path(target, Recorder::paths().first);
  section.put(target.ino, st.st_nlink, record);
  return error;
}

int Filesystem::write(uint64_t id, const FileHandle& handle, ByteView data, uint64_t offset, WriteKind kind, size_t& written) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  Locked locked(*target);
  bool takes_bits = (kind.kills_set_id || always_loses_set_id()) && has_set_id(handle.fd());
  struct stat st;
  // With the writeback cache the time of a change is the kernel's to tell, by a SETATTR that may have come before.
  bool keeps_mtime = has_writeback_ && kind.is_cached && ::fstat(handle.fd(), &st) == 0;
  ssize_t n;
  {
    WithoutFsetid without(takes_bits);
    n = ::pwrite(handle.fd(), data.data(), data.size(), static_cast<off_t>(offset));
  }
  if (n < 0) return failed(*target, handle.fd(), takes_bits);
  written = static_cast<size_t>(n);
  if (keeps_mtime) {
    timespec times[] = {{0, UTIME_OMIT}, st.st_mtim};
    ::futimens(handle.fd(), times);
  }
  if (int error = read_back(handle.fd(), st)) return error;
  if (takes_bits) stale_attributes_(id);
  // A file that takes appends only has put the bytes at its end, wherever they were asked for.
  if (handle.raw() & FileHandle::kAppend) offset = static_cast<uint64_t>(st.st_size) - written;

  format::Write record{offset, to_time(st.st_mtim), takes_bits ? st.st_mode : 0, {}, data.first(written)};
  uint32_t checksum = format::crc32c(0, record.data);
  Recorder::Section section(recorder_);
  record.path = section.path(*target, Recorder::paths().first);
  section.put(target->ino, st.st_nlink, record, checksum);
  return 0;
}

// An allocation that failed may have come some way: the size tells how far. Where it changes content nobody can tell: that is for a
// scan.
void Filesystem::put_part_of_allocation(Node& target, int fd, int mode, off_t size_before) {
  if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
    Recorder::Section(recorder_).put_loss();
    return;
  }
  struct stat st;
  if (read_back(fd, st) != 0 || st.st_size == size_before) return;
  put_size(target, st, 0);
}

void Filesystem::put_size(Node& target, const struct stat& st, mode_t mode) {
  format::Truncate record{static_cast<uint64_t>(st.st_size), to_time(st.st_mtim), mode, {}};
  Recorder::Section section(recorder_);
  record.path = section.path(target, Recorder::paths().first);
  section.put(target.ino, st.st_nlink, record);
}

int Filesystem::fallocate(uint64_t id, const FileHandle& handle, int mode, uint64_t offset, uint64_t length,
                          const Caller& caller) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  Locked locked(*target);
  struct stat before;
  if (::fstat(handle.fd(), &before) != 0) return errno;
  bool takes_bits = (caller.uid != 0 || always_loses_set_id()) && has_set_id(before);  // FALLOCATE has no flag that says so
  {
    WithoutFsetid without(takes_bits);
    if (::fallocate(handle.fd(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
      int error = failed(*target, handle.fd(), takes_bits);
      if (may_have_begun(error)) put_part_of_allocation(*target, handle.fd(), mode, before.st_size);
      return error;
    }
  }
  struct stat st;
  if (int error = read_back(handle.fd(), st)) return error;
  if (takes_bits) stale_attributes_(id);

  format::Fallocate record{static_cast<uint32_t>(mode), offset, length, to_time(st.st_mtim), takes_bits ? st.st_mode : 0, {}};
  Recorder::Section section(recorder_);
  record.path = section.path(*target, Recorder::paths().first);
  section.put(target->ino, st.st_nlink, record);
  return 0;
}

int Filesystem::copy(uint64_t source, const FileHandle& from, uint64_t from_offset, uint64_t target, const FileHandle& to,
                     uint64_t to_offset, size_t length, const Caller& caller, size_t& copied) {
  Node *source_node = node(source), *target_node = node(target);
  if (source_node == nullptr || target_node == nullptr) return ESTALE;
  // The source is locked as well: what is copied must be what stands in the journal before this.
  Locked locked(*source_node, *target_node);
  // No mirror has what lost its last name before it was opened; the caller's kernel reads and writes instead.
  if (!table_.is_recorded(*source_node)) return EXDEV;
  bool takes_bits = (caller.uid != 0 || always_loses_set_id()) && has_set_id(to.fd());
  off_t in = static_cast<off_t>(from_offset), out = static_cast<off_t>(to_offset);
  ssize_t n;
  {
    WithoutFsetid without(takes_bits);
    n = ::copy_file_range(from.fd(), &in, to.fd(), &out, std::min(length, kMaxCopy), 0);
  }
  if (n < 0) return failed(*target_node, to.fd(), takes_bits);
  copied = static_cast<size_t>(n);
  if (n == 0) return 0;
  struct stat st;
  if (int error = read_back(to.fd(), st)) return error;
  if (takes_bits) stale_attributes_(target);

  format::Copy record{source_node->ino, from_offset, to_offset, copied, to_time(st.st_mtim), takes_bits ? st.st_mode : 0, {}, {}};
  Recorder::Paths& paths = Recorder::paths();
  Recorder::Section section(recorder_);
  record.source_path = section.path(*source_node, paths.first);
  record.path = section.path(*target_node, paths.second);
  section.put(target_node->ino, st.st_nlink, record);
  return 0;
}

int Filesystem::sync(uint64_t id, const FileHandle* handle, bool data_only) {
  Node* target = node(id);
  if (target == nullptr) return ESTALE;
  sys::Fd opened;
  int fd = handle != nullptr ? handle->fd() : store_.open_node(*target, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return -fd;
  if (handle == nullptr) opened = sys::Fd(fd);
  if ((data_only ? ::fdatasync(fd) : ::fsync(fd)) != 0) return errno;  // without locks: it may take seconds
  Recorder::Section section(recorder_);
  section.put(target->ino, 0, format::Sync{data_only ? format::kSyncData : 0, section.path(*target, Recorder::paths().first)});
  return 0;
}

}  // namespace tfs::journal
