#include "lib/sys/unix_socket.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

using namespace tfs;
using sys::UnixListener;

namespace {

// A folder that goes away, and is the current one meanwhile: paths of sockets are short.
class Folder {
 public:
  Folder() : before_(std::filesystem::current_path()) {
    char name[] = "/tmp/tfs-unit.XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
    std::filesystem::current_path(path_);
  }
  ~Folder() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(path_);
  }
  const std::string& path() const { return path_; }

 private:
  std::filesystem::path before_;
  std::string path_;
};

UnixListener serve(const std::string& path, unsigned mode = 0600) {
  Result<UnixListener> listener = UnixListener::serve("test.serve", path, mode);
  if (!listener) FAIL(listener.error().message());
  return std::move(listener).value();
}

bool exists(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

unsigned mode_of(const std::string& path) {
  struct stat st {};
  REQUIRE(::lstat(path.c_str(), &st) == 0);
  return st.st_mode & 0777;
}

// What a process that was killed leaves behind.
void leave_stale_socket(const char* path) {
  sys::Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd.get(), 1) == 0);
}

std::string refusal(const std::string& path) {
  Result<UnixListener> listener = UnixListener::serve("test.serve", path, 0600);
  REQUIRE(!listener.ok());
  return listener.error().message();
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("a socket is served with exactly the permissions asked for, whatever the umask") {
  Folder folder;
  for (unsigned mask : {0u, 077u, 0777u}) {
    mode_t old = ::umask(mask);
    for (unsigned mode : {0600u, 0660u, 0666u, 0u}) {
      UnixListener listener = serve("s", mode);
      CHECK(mode_of("s") == mode);
    }
    CHECK(::umask(old) == mask);
  }
}

TEST_CASE("the name goes with the listener, unless it is another's by then") {
  Folder folder;
  {
    UnixListener listener = serve("s");
    UnixListener moved = std::move(listener);
    CHECK(exists("s"));
  }
  CHECK(!exists("s"));
  {
    UnixListener listener = serve("s");
    ::unlink("s");
    sys::Fd file(::open("s", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  }
  CHECK(exists("s"));
}

TEST_CASE("a stale socket is replaced, a living one refused with the process that has it") {
  Folder folder;
  leave_stale_socket("s");
  UnixListener listener = serve("s");
  std::string text = refusal("s");
  CHECK(contains(text, "unable to serve s: process " + std::to_string(::getpid()) + " is listening there"));
  CHECK(sys::connect_unix("test.connect", "s").ok());
}

TEST_CASE("what is no socket, or cannot be made, is refused and left alone") {
  Folder folder;
  sys::Fd file(::open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  REQUIRE(::symlink("nowhere", "link") == 0);
  REQUIRE(::mkdir("dir", 0700) == 0);
  for (const char* name : {"file", "link", "dir"}) {
    CHECK(contains(refusal(name), "it exists and is no socket"));
    CHECK(exists(name));
  }
  CHECK(contains(refusal("missing/s"), "unable to serve missing/s: No such file or directory"));
  sys::Fd datagram(::socket(AF_UNIX, SOCK_DGRAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "datagram");
  REQUIRE(::bind(datagram.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  CHECK(contains(refusal("datagram"), "another process is listening there"));
}

TEST_CASE("a path has 1 to 107 bytes") {
  Folder folder;
  CHECK(contains(refusal(""), "1 to 107 bytes"));
  std::string longest(sys::kMaxSocketPath, 'a');
  {
    UnixListener listener = serve(longest);
    CHECK(sys::connect_unix("test.connect", longest).ok());
  }
  Result<UnixListener> too_long = UnixListener::serve("test.serve", longest + "a", 0600);
  REQUIRE(!too_long.ok());
  CHECK(too_long.error().kind == Kind::kUsage);
  CHECK(!sys::connect_unix("test.connect", longest + "a").ok());
}

TEST_CASE("of many that start at once on a stale socket exactly one serves, and stays reachable") {
  Folder folder;
  for (int round = 0; round < 5; round++) {
    leave_stale_socket("s");
    int go[2], result[2];
    REQUIRE(::pipe(go) == 0);
    REQUIRE(::pipe(result) == 0);
    constexpr int kStarters = 8;
    for (int i = 0; i < kStarters; i++) {
      if (::fork() != 0) continue;
      char c;
      ::close(go[1]);
      (void)!::read(go[0], &c, 1);  // its end is the sign
      Result<UnixListener> listener = UnixListener::serve("test.serve", "s", 0600);
      (void)!::write(result[1], listener.ok() ? "1" : "0", 1);
      if (listener.ok()) ::pause();
      ::_exit(0);
    }
    ::close(go[0]);
    ::close(go[1]);
    int winners = 0;
    for (int i = 0; i < kStarters; i++) {
      char c = 0;
      REQUIRE(::read(result[0], &c, 1) == 1);
      winners += c == '1' ? 1 : 0;
    }
    CHECK(winners == 1);
    Result<sys::Fd> fd = sys::connect_unix("test.connect", "s");
    REQUIRE(fd.ok());
    pid_t winner = sys::peer_of(fd->get()).pid;
    REQUIRE(winner > 1);
    ::kill(winner, SIGKILL);
    while (::wait(nullptr) > 0) {
    }
    ::close(result[0]);
    ::close(result[1]);
    ::unlink("s");
  }
}

TEST_CASE("sending never waits and never raises SIGPIPE; receiving tells nothing from the end") {
  Folder folder;
  UnixListener listener = serve("s");
  Result<std::optional<sys::Fd>> none = sys::accept_unix("test.accept", listener.fd());
  REQUIRE(none.ok());
  CHECK(!none->has_value());
  sys::Fd client = sys::connect_unix("test.connect", "s").value();
  sys::Fd server = *std::move(sys::accept_unix("test.accept", listener.fd())).value();
  CHECK(sys::peer_of(server.get()).pid == ::getpid());
  CHECK(sys::peer_of(server.get()).uid == ::geteuid());

  std::string text(100'000, 'x');
  iovec piece{text.data(), text.size()};
  size_t sent = 0;
  for (size_t n = 1; n > 0; sent += n) n = sys::send_some("test.send", server.get(), {&piece, 1}).value();
  CHECK(sent >= text.size());
  CHECK(sys::unread_memory(server.get()) >= sent);

  std::array<std::byte, 64> buffer;
  CHECK(!sys::receive_some("test.receive", server.get(), buffer)->has_value());
  ::shutdown(client.get(), SHUT_WR);
  CHECK(sys::receive_some("test.receive", server.get(), buffer).value() == std::optional<size_t>(0));
  CHECK(!sys::is_hung_up(server.get()));
  client.reset();
  CHECK(sys::is_hung_up(server.get()));
  CHECK(!sys::send_some("test.send", server.get(), {&piece, 1}).ok());
}

TEST_CASE("a connection that is finished with rubbish unread ends cleanly for the peer") {
  Folder folder;
  UnixListener listener = serve("s");
  sys::Fd client = sys::connect_unix("test.connect", "s").value();
  sys::Fd server = *std::move(sys::accept_unix("test.accept", listener.fd())).value();
  REQUIRE(::write(client.get(), "rubbish", 7) == 7);
  REQUIRE(::write(server.get(), "last", 4) == 4);
  sys::finish_unix(std::move(server));
  char buffer[16];
  CHECK(::read(client.get(), buffer, sizeof buffer) == 4);
  CHECK(::read(client.get(), buffer, sizeof buffer) == 0);
}
