#include "lib/spool/watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

namespace tfs::spool {
namespace {

// Where there is no inotify for us (fs.inotify.max_user_instances: 128 for each user), we look as often as this.
constexpr int kPauseMs = 100;

}  // namespace

Watch::Watch(const Dir& dir) : fd_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  std::string at = "/proc/self/fd/" + std::to_string(dir.fd()) + "/";
  bool is_watched = fd_.is_open() && ::inotify_add_watch(fd_.get(), (at + kEndFile).c_str(), IN_MODIFY) >= 0 &&
                    ::inotify_add_watch(fd_.get(), (at + kLockFile).c_str(), IN_CLOSE_WRITE) >= 0;
  if (!is_watched) fd_.reset();
}

void Watch::clear() {
  std::byte events[4096];
  while (fd_.is_open() && ::read(fd_.get(), events, sizeof events) > 0) continue;
}

Status Watch::wait(int output, int most_ms, int event) {
  if (!fd_.is_open() && (most_ms < 0 || most_ms > kPauseMs)) most_ms = kPauseMs;
  pollfd fds[] = {{output, 0, 0}, {fd_.get(), POLLIN, 0}, {event, POLLIN, 0}};
  if (::poll(fds, 3, most_ms) < 0 && errno != EINTR) return system_error("spool.watch.poll", errno, "unable to wait");
  if (fds[0].revents & (POLLERR | POLLHUP))
    return system_error("spool.watch.output", EPIPE, "unable to write to standard output");
  return {};
}

}  // namespace tfs::spool
