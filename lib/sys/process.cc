#include "lib/sys/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

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

int running_threads() {
  char text[128];
  int fd = ::open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 1;
  ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  text[std::max<ssize_t>(n, 0)] = '\0';
  const char* at = text;  // "0.20 0.18 0.12 RUNNING/ALL PID"
  for (int field = 0; field < 3 && at != nullptr; field++) at = std::strchr(at + 1, ' ');
  return at != nullptr ? std::max(static_cast<int>(std::strtol(at, nullptr, 10)), 1) : 1;
}

int usable_processors() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

void widen_pipe(int fd, size_t bytes) {
  int size = ::fcntl(fd, F_GETPIPE_SZ);
  if (size > 0 && static_cast<size_t>(size) < bytes) ::fcntl(fd, F_SETPIPE_SZ, bytes);
}

}  // namespace tfs::sys
