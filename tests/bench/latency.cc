// latency [--count N] [--gap MS] [--size BYTES | --link NAME] SOURCE MIRROR: how long a small new file, or a new link of NAME in SOURCE,
// takes from SOURCE to MIRROR.
//
// Takes the time from just before close(2), or link(2), until the file's whole content can be read in MIRROR, or the name is there. inotify
// on MIRROR says when to look, so that waiting takes no processor from what is measured; how the file comes there (in
// place, or by a rename) does not matter. Prints "MEDIAN P99 MOST" in microseconds; a file that is not there after ten
// seconds ends it with status 1.

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace {

constexpr double kPatience = 10;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "latency: unable to %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

double now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

struct Settings {
  int count = 200;
  int gap_ms = 10;
  size_t size = 1024;
  std::string link, source, mirror;
};

Settings parse(int argc, char** argv) {
  Settings s;
  int at = 1;
  for (; at + 1 < argc && std::strncmp(argv[at], "--", 2) == 0; at += 2) {
    std::string option = argv[at];
    if (option == "--count") s.count = std::atoi(argv[at + 1]);
    if (option == "--gap") s.gap_ms = std::atoi(argv[at + 1]);
    if (option == "--link") s.link = argv[at + 1];
    if (option == "--size") s.size = static_cast<size_t>(std::atol(argv[at + 1]));
  }
  if (argc - at != 2) {
    std::fprintf(stderr, "usage: latency [--count N] [--gap MS] [--size BYTES | --link NAME] SOURCE MIRROR\n");
    std::exit(2);
  }
  s.source = argv[at];
  s.mirror = argv[at + 1];
  return s;
}

bool holds(const std::string& path, const std::string& content) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::string found(content.size() + 1, '\0');
  ssize_t n = ::read(fd, found.data(), found.size());
  ::close(fd);
  return n == static_cast<ssize_t>(content.size()) && found.compare(0, content.size(), content) == 0;
}

void wait_for_event(int watch, double until) {
  pollfd p{watch, POLLIN, 0};
  int left = static_cast<int>(std::max(0.0, until - now()) * 1000) + 1;
  if (::poll(&p, 1, left) > 0) {
    alignas(inotify_event) char events[65536];
    if (::read(watch, events, sizeof events) < 0) die("read inotify");
  }
}

// Has the name made in SOURCE, but for what starts the clock.
std::function<void()> prepare(const Settings& s, const std::string& path, const std::string& content) {
  if (!s.link.empty()) {
    return [&s, path] {
      if (::link((s.source + "/" + s.link).c_str(), path.c_str()) != 0) die("link " + path);
    };
  }
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) die("create " + path);
  if (::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) die("write");
  return [fd] { ::close(fd); };
}

// Seconds.
double one(const Settings& s, int watch, int i) {
  std::string name = "/latency." + std::to_string(::getpid()) + "." + std::to_string(i);
  std::string content(s.size, static_cast<char>('a' + i % 26));
  std::string mirrored = s.mirror + name;
  std::function<void()> finish = prepare(s, s.source + name, content);
  double start = now();
  finish();
  while (s.link.empty() ? !holds(mirrored, content) : ::access(mirrored.c_str(), F_OK) != 0) {
    if (now() - start > kPatience) {
      errno = ETIMEDOUT;
      die("find " + mirrored);
    }
    wait_for_event(watch, start + kPatience);
  }
  return now() - start;
}

double at_share(const std::vector<double>& sorted, double share) {
  size_t index = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::min(sorted.size(), std::max<size_t>(index, 1)) - 1] * 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  Settings s = parse(argc, argv);
  int watch = ::inotify_init1(IN_CLOEXEC);
  constexpr uint32_t kEvents = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO;
  if (watch < 0 || ::inotify_add_watch(watch, s.mirror.c_str(), kEvents) < 0) die("watch " + s.mirror);
  one(s, watch, 0);  // the first one warms up
  std::vector<double> times;
  for (int i = 1; i <= s.count; i++) {
    ::usleep(static_cast<useconds_t>(s.gap_ms) * 1000);
    times.push_back(one(s, watch, i));
  }
  std::sort(times.begin(), times.end());
  std::printf("%.0f %.0f %.0f\n", at_share(times, 0.5), at_share(times, 0.99), times.back() * 1e6);
  return 0;
}
