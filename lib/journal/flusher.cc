#include "lib/journal/flusher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "lib/sys/apart.h"
#include "lib/sys/message.h"

namespace tfs::journal {
namespace {

// A byte asks, a byte answers.
int flush_when_asked(int control, const char* mountpoint) {
  ::prctl(PR_SET_NAME, "tfs_flusher");
  char byte;
  while (::read(control, &byte, 1) == 1) {
    int fd = ::open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
      ::syncfs(fd);
      ::close(fd);  // at once: an open descriptor would be in the way of umount(8)
    }
    if (::write(control, &byte, 1) != 1) break;
  }
  return 0;
}

}  // namespace

Flusher::Flusher(std::string mountpoint, std::chrono::milliseconds delay, std::function<bool()> is_needed)
    : mountpoint_(std::move(mountpoint)), is_needed_(std::move(is_needed)) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    sys::warn("what is written may come late: unable to make a socket");
    return;
  }
  control_ = sys::Fd(ends[0]);
  // The thread starts the process: it is told to end with that thread.
  thread_ = std::thread([this, other = ends[1], pause = delay / 2] {
    pid_t pid = sys::start_apart([&] { return flush_when_asked(other, mountpoint_.c_str()); }, other);
    ::close(other);
    if (pid < 0) return sys::warn("what is written may come late: unable to make a process");
    bool is_at_rest = run(pause);
    ::waitpid(pid, nullptr, is_at_rest ? 0 : WNOHANG);  // where it still waits for the mount it ends behind us
  });
}

// Whether the process has nothing to do when we end.
bool Flusher::run(std::chrono::milliseconds pause) {
  while (true) {
    pollfd closed{control_.get(), POLLIN, 0};
    if (::poll(&closed, 1, static_cast<int>(pause.count())) != 0 && errno != EINTR) return true;
    if (!is_needed_()) continue;
    char byte = 0;
    if (::send(control_.get(), &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(control_.get(), &byte, 1, 0) != 1) return false;
  }
}

Flusher::~Flusher() {
  if (!thread_.joinable()) return;
  ::shutdown(control_.get(), SHUT_RDWR);
  thread_.join();
}

}  // namespace tfs::journal
