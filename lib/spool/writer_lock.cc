#include "lib/spool/writer_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/process.h"

namespace tfs::spool {
namespace {

constexpr size_t kMaxLine = 128;

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

// "PID BOOT\n"
struct LockLine {
  std::string pid, boot;
};

LockLine read_line(int fd) {
  char bytes[kMaxLine];
  ssize_t n = ::pread(fd, bytes, sizeof bytes, 0);
  std::string_view text(bytes, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  size_t space = text.find(' '), end = text.find('\n');
  if (space == text.npos || end == text.npos || end < space) return {"(unknown)", ""};
  return {escape(text.substr(0, space)), std::string(text.substr(space + 1, end - space - 1))};
}

std::string boot_id() {
  Result<std::string> text = sys::read_file("spool.lock.boot", AT_FDCWD, "/proc/sys/kernel/random/boot_id", kMaxLine);
  return text ? text->substr(0, text->find('\n')) : "unknown";
}

}  // namespace

Result<WriterLock> WriterLock::take(const Dir& dir) {
  WriterLock lock;
  lock.fd_ = TFS_TRY(dir.open_file("spool.lock.open", kLockFile, O_RDWR | O_CREAT));
  struct flock wanted = whole_file(F_WRLCK);
  LockLine before = read_line(lock.fd_.get());
  if (::fcntl(lock.fd_.get(), F_OFD_SETLK, &wanted) != 0) {
    if (errno != EAGAIN && errno != EACCES)
      return system_error("spool.lock.set", errno, "unable to lock " + dir.shown(kLockFile));
    return Error{Kind::kSystem, 0, "spool.lock.held", escape(dir.path()) + " is in use by process " + before.pid};
  }
  std::string boot = boot_id(), line = std::to_string(sys::own_pid()) + " " + boot + "\n";
  lock.is_after_restart_ = before.boot != boot;
  // On a full disk this may fail; the lock is what counts, and the line was there before.
  if (sys::pwrite_all("spool.lock.write", lock.fd_.get(), as_bytes(line), 0)) {
    [[maybe_unused]] int result = ::ftruncate(lock.fd_.get(), static_cast<off_t>(line.size()));
  }
  return lock;
}

WriterProbe::WriterProbe(const Dir& dir) {
  Result<sys::Fd> fd = dir.open_file("spool.lock.look", kLockFile, O_RDONLY);
  if (fd) fd_ = std::move(*fd);
}

bool WriterProbe::is_running() const {
  struct flock lock = whole_file(F_WRLCK);
  return fd_.is_open() && ::fcntl(fd_.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::string WriterProbe::pid() const { return read_line(fd_.get()).pid; }

}  // namespace tfs::spool
