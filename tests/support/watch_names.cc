// watch_names DIR...: prints each name that comes to, leaves or is moved in one of the directories, as the kernel tells it, so that a
// test can count what was really done there: "DIR/NAME made", "removed", "moved away" or "moved here", where DIR is its last component.
// In each directory the lines are in the order of the operations. The first line of all is "watching".
//
// Ends on SIGTERM, when all that has happened before is printed; with status 1 where the kernel lost count.
#include <poll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "lib/base/escape.h"

namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "watch_names: %s\n", what.c_str());
  std::exit(1);
}

const char* name_of(uint32_t mask) {
  if (mask & IN_CREATE) return "made";
  if (mask & IN_DELETE) return "removed";
  return mask & IN_MOVED_FROM ? "moved away" : "moved here";
}

// All that is there; the descriptor does not block.
void print_events(int fd, const std::map<int, std::string>& directories) {
  alignas(inotify_event) char buffer[65536];
  for (ssize_t size; (size = ::read(fd, buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      if (event->mask & IN_Q_OVERFLOW) die("more happened than the kernel keeps for us");
      if (event->mask & IN_IGNORED) die("a directory has gone");
      std::printf("%s/%s %s\n", directories.at(event->wd).c_str(), tfs::escape(event->name).c_str(), name_of(event->mask));
    }
  }
  if (std::fflush(stdout) != 0) die("unable to print");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) die("which directories?");
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  int told = ::signalfd(-1, &signals, SFD_CLOEXEC), fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (told < 0 || fd < 0) die(std::strerror(errno));
  std::map<int, std::string> directories;
  for (char** dir = argv + 1; *dir != nullptr; dir++) {
    int watch = ::inotify_add_watch(fd, *dir, IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
    if (watch < 0) die(std::string(*dir) + ": " + std::strerror(errno));
    directories[watch] = tfs::escape(std::string(*dir).substr(std::string(*dir).rfind('/') + 1));
  }
  std::puts("watching");
  pollfd waits[] = {{fd, POLLIN, 0}, {told, POLLIN, 0}};
  do {
    print_events(fd, directories);
    if (::poll(waits, 2, -1) < 0) die(std::strerror(errno));
  } while (waits[1].revents == 0);
  print_events(fd, directories);
  return 0;
}
