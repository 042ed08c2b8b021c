#include "lib/sys/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace tfs::sys {

void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; fd++) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    [[maybe_unused]] int filler = ::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);  // the lowest that is free: this one
  }
}

bool is_terminal(int fd) { return ::isatty(fd) == 1; }
pid_t own_pid() { return ::getpid(); }

void allow_open_files(size_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count) return;
  limit.rlim_cur = std::min<rlim_t>(count, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void widen_pipe(int fd, size_t bytes) {
  int size = ::fcntl(fd, F_GETPIPE_SZ);
  if (size > 0 && static_cast<size_t>(size) < bytes) ::fcntl(fd, F_SETPIPE_SZ, bytes);
}

}  // namespace tfs::sys
