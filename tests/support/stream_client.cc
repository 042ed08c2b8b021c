// stream_client SOCKET: a client of tfs_broadcast that checks all it gets (checksums, records, numbers without holes), or
// misbehaves. "-" instead of SOCKET checks standard input.
//
//   --count N        so many clients at once, each a process (1)
//   --each           client N connects to SOCKET.N
//   --read N         bytes a read (65536)
//   --pause MS       after each read
//   --stop-after N   leave after so many bytes, with status 0
//   --never-read     connect, read nothing, wait until the other side ends it
//   --send N         send so many bytes of rubbish first, while nothing is read
//   --send-aside     send them in a process of its own, while this one reads
//   --shut           shut down the own writing side first
//   --no-check       look at nothing (for measuring)
//   --quiet          no line at the end
//   --connected F    make the file F.N when client N is connected
//
// What it inherited beside the standard descriptors is closed: the test's own end of a pipe must not live on in it. Clients end
// with the process that started them.
//
// Prints "frames=N bytes=N first=SEQ last=SEQ hellos=N end=0|1" for each client; "first" is of the first numbered frame.
// Status: 0 the stream ended with END, 3 it is damaged, 4 it broke off; with several clients the highest of theirs.

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "lib/format/deframer.h"
#include "lib/format/sequence.h"

namespace {

using namespace tfs;

struct Settings {
  std::string socket;
  uint64_t count = 1, read = 65536, pause = 0, stop_after = UINT64_MAX, send = 0;
  bool never_read = false, each = false, send_aside = false, shut = false, check = true, quiet = false;
  std::string connected;
};

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "stream_client: %s\n", text.c_str());
  std::exit(1);
}

Settings parse(int argc, char** argv) {
  Settings s;
  const option options[] = {{"count", 1, nullptr, 'c'},
                            {"read", 1, nullptr, 'r'},
                            {"pause", 1, nullptr, 'p'},
                            {"stop-after", 1, nullptr, 'a'},
                            {"never-read", 0, nullptr, 'n'},
                            {"send", 1, nullptr, 's'},
                            {"send-aside", 0, nullptr, 'S'},
                            {"shut", 0, nullptr, 'w'},
                            {"no-check", 0, nullptr, 'N'},
                            {"quiet", 0, nullptr, 'q'},
                            {"connected", 1, nullptr, 'f'},
                            {"each", 0, nullptr, 'e'},
                            {}};
  for (int c; (c = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
    switch (c) {
      case 'c': s.count = std::strtoull(optarg, nullptr, 10); break;
      case 'r': s.read = std::strtoull(optarg, nullptr, 10); break;
      case 'p': s.pause = std::strtoull(optarg, nullptr, 10); break;
      case 'a': s.stop_after = std::strtoull(optarg, nullptr, 10); break;
      case 'n': s.never_read = true; break;
      case 's': s.send = std::strtoull(optarg, nullptr, 10); break;
      case 'S': s.send_aside = true; break;
      case 'w': s.shut = true; break;
      case 'N': s.check = false; break;
      case 'q': s.quiet = true; break;
      case 'f': s.connected = optarg; break;
      case 'e': s.each = true; break;
      default: std::exit(2);
    }
  }
  if (optind + 1 != argc || s.read == 0) die("wrong usage");
  s.socket = argv[optind];
  return s;
}

int open_input(const std::string& path) {
  if (path == "-") return STDIN_FILENO;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) die("path too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect: " + std::string(strerror(errno)));
  return fd;
}

// Ends without a word when the other side does not want it any more.
void send_rubbish(int fd, uint64_t bytes) {
  std::vector<char> rubbish(65536, 'x');
  while (bytes > 0) {
    ssize_t n = send(fd, rubbish.data(), std::min<uint64_t>(bytes, rubbish.size()), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes -= static_cast<uint64_t>(n);
  }
}

int wait_for_end(int fd) {
  pollfd entry{fd, POLLRDHUP, 0};
  while (poll(&entry, 1, -1) < 0 && errno == EINTR) {
  }
  return 4;
}

// What came in, and what it says.
class Checker {
 public:
  explicit Checker(const Settings& s) : s_(s), plain_(s.check ? 0 : s.read) {}

  // Up to `size` bytes; 0 at the end, negative on an error.
  ssize_t read_from(int fd, size_t size) {
    std::span<std::byte> into = s_.check ? deframer_.space() : std::span<std::byte>(plain_);
    ssize_t n = ::read(fd, into.data(), std::min(into.size(), size));
    if (n > 0) bytes_ += static_cast<uint64_t>(n);
    if (n > 0 && s_.check) deframer_.filled(static_cast<size_t>(n));
    return n;
  }

  Status look() {
    while (s_.check) {
      std::optional<format::Frame> frame = TFS_TRY(deframer_.next());
      if (!frame) break;
      format::Record record = TFS_TRY(format::decode(*frame));
      TFS_TRY(sequence_.take(*frame, record));
      frames_ += 1;
      if (frame->header.type == format::RecordType::kHello) {
        hellos_ += 1;
      } else if (first_ == 0) {
        first_ = frame->header.seq;
      }
    }
    return {};
  }

  Status finish() const {
    if (!s_.check) return {};
    TFS_TRY(deframer_.finish());
    return sequence_.finish();
  }

  uint64_t bytes() const { return bytes_; }
  std::string summary() const {
    return "frames=" + std::to_string(frames_) + " bytes=" + std::to_string(bytes_) + " first=" + std::to_string(first_) +
           " last=" + std::to_string(sequence_.position().seq) + " hellos=" + std::to_string(hellos_) +
           " end=" + (sequence_.has_ended() ? "1" : "0") + "\n";
  }

 private:
  const Settings& s_;
  std::vector<std::byte> plain_;
  format::Deframer deframer_;
  format::Sequence sequence_;
  uint64_t frames_ = 0, bytes_ = 0, first_ = 0, hellos_ = 0;
};

int read_all(const Settings& s, int fd) {
  Checker checker(s);
  Status status;
  while (status && checker.bytes() < s.stop_after) {
    ssize_t n = checker.read_from(fd, std::min(s.read, s.stop_after - checker.bytes()));
    if (n < 0) die("read: " + std::string(strerror(errno)));
    if (n == 0) break;
    status = checker.look();
    if (s.pause > 0) usleep(static_cast<useconds_t>(s.pause * 1000));
  }
  if (status && checker.bytes() < s.stop_after) status = checker.finish();
  if (!s.quiet) {
    std::string line = checker.summary();
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) return 1;
  }
  if (status) return 0;
  if (!s.quiet) std::fprintf(stderr, "stream_client: %s\n", status.error().message().c_str());
  return status.error().kind == Kind::kTruncated ? 4 : 3;
}

int run(const Settings& s, uint64_t number) {
  int fd = open_input(s.each ? s.socket + "." + std::to_string(number) : s.socket);
  if (!s.connected.empty()) close(creat((s.connected + "." + std::to_string(number)).c_str(), 0600));
  if (s.shut) shutdown(fd, SHUT_WR);
  if (s.send_aside && fork() == 0) {
    send_rubbish(fd, s.send);
    _exit(0);
  }
  if (!s.send_aside) send_rubbish(fd, s.send);
  return s.never_read ? wait_for_end(fd) : read_all(s, fd);
}

}  // namespace

int main(int argc, char** argv) {
  Settings s = parse(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  close_range(3, ~0u, 0);
  if (s.count == 1) return run(s, 1);
  for (uint64_t i = 1; i <= s.count; i++) {
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      return run(s, i);
    }
  }
  int worst = 0;
  for (int status; wait(&status) > 0;) worst = std::max(worst, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  return worst;
}
