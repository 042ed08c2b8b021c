#include "lib/sys/apart.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace tfs::sys {
namespace {

void drop_descriptors(int kept) {
  ::close(STDIN_FILENO);
  ::close(STDOUT_FILENO);  // which is the stream
  unsigned first = STDERR_FILENO + 1;
  if (kept >= static_cast<int>(first)) {
    if (kept > static_cast<int>(first)) ::close_range(first, static_cast<unsigned>(kept) - 1, 0);
    first = static_cast<unsigned>(kept) + 1;
  }
  ::close_range(first, ~0U, 0);
}

int wait_for_end(pid_t pid) {
  int how = 0;
  while (::waitpid(pid, &how, 0) != pid) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

}  // namespace

pid_t start_apart(const std::function<int()>& work, int kept) {
  pid_t parent = ::getpid(), pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it has ended before
  drop_descriptors(kept);
  ::_exit(work());
}

int run_apart(const std::function<int()>& work) {
  pid_t pid = start_apart(work);
  return pid < 0 ? -1 : wait_for_end(pid);
}

void leave_apart(const std::function<int()>& work) {
  pid_t pid = ::fork();
  if (pid > 0) static_cast<void>(wait_for_end(pid));
  if (pid != 0) return;
  drop_descriptors(-1);
  if (::fork() != 0) ::_exit(0);
  ::_exit(work());
}

}  // namespace tfs::sys
