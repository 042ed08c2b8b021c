#include "lib/spool/writer_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/mount_id.h"
#include "lib/sys/process.h"

namespace tfs::spool {
namespace {

constexpr size_t kMaxLine = 128;
constexpr char kNoBoot[] = "unknown";

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

// "PID BOOT NAMESPACE:MOUNT\n"
struct LockLine {
  std::string pid, boot;
  sys::MountId mount;
};

LockLine read_line(int fd) {
  char bytes[kMaxLine];
  ssize_t n = ::pread(fd, bytes, sizeof bytes, 0);
  std::string_view text(bytes, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  size_t space = text.find(' '), end = text.find('\n');
  if (space == text.npos || end == text.npos || end < space) return {"(unknown)", "", {}};
  std::string boot(text.substr(space + 1, end - space - 1));
  sys::MountId mount;
  if (size_t mark = boot.find(' '); mark != boot.npos) {
    unsigned long long mount_namespace = 0, number = 0;
    if (std::sscanf(boot.c_str() + mark, " %llu:%llu", &mount_namespace, &number) == 2) mount = {number, mount_namespace};
    boot.erase(mark);
  }
  return {escape(text.substr(0, space)), boot, mount};
}

std::string to_text(const LockLine& line) {
  return line.pid + " " + line.boot + " " + std::to_string(line.mount.mount_namespace) + ":" + std::to_string(line.mount.mount) +
         "\n";
}

std::string boot_id() {
  Result<std::string> text = sys::read_file("spool.lock.boot", AT_FDCWD, "/proc/sys/kernel/random/boot_id", kMaxLine);
  return text ? text->substr(0, text->find('\n')) : "unreadable";
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
  LockLine now{std::to_string(sys::own_pid()), boot_id(), sys::mount_id(lock.fd_.get())};
  lock.is_after_restart_ = before.boot != now.boot || now.mount.differs_from(before.mount);
  lock.line_ = to_text(now);
  lock.doubtful_line_ = to_text({now.pid, kNoBoot, now.mount});
  if (lock.is_after_restart_) {  // until note_start()
    now.boot = before.boot.empty() ? kNoBoot : before.boot;
    now.mount = before.mount;
  }
  lock.write(to_text(now));
  return lock;
}

void WriterLock::note_start() { write(line_); }
void WriterLock::note_loss() { write(doubtful_line_); }

// On a full disk this may fail; the lock is what counts, and a line was there before.
void WriterLock::write(const std::string& line) {
  if (sys::pwrite_all("spool.lock.write", fd_.get(), as_bytes(line), 0)) {
    [[maybe_unused]] int result = ::ftruncate(fd_.get(), static_cast<off_t>(line.size()));
  }
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
