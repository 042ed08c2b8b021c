#include "lib/sys/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "lib/base/escape.h"
#include "lib/sys/io.h"

namespace tfs::sys {

Result<LockFile> LockFile::take(const char* op, int dir, const char* name, const std::string& shown) {
  Fd fd = TFS_TRY(open_at(op, dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error(op, errno, "unable to lock " + escape(shown));
    char holder[32] = {};
    [[maybe_unused]] ssize_t n = ::pread(fd.get(), holder, sizeof holder - 1, 0);
    std::string pid(holder);
    return Error{Kind::kSystem, 0, op, escape(shown) + " is in use by process " + (pid.empty() ? "(unknown)" : pid)};
  }
  // The number is for people only; the lock is what counts.
  std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd.get(), 0) == 0) TFS_TRY(pwrite_all(op, fd.get(), as_bytes(pid), 0));
  return LockFile(std::move(fd));
}

}  // namespace tfs::sys
