#include "lib/sys/unix_socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "lib/base/escape.h"
#include "lib/sys/io.h"

namespace tfs::sys {
namespace {

constexpr int kLockTries = 100;  // of 20 ms each, for another start on a socket of the same folder
constexpr useconds_t kLockPauseUs = 20'000;

Result<sockaddr_un> address_of(const char* op, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() > kMaxSocketPath || path.find('\0') != path.npos) {
    return Error{Kind::kUsage, 0, op,
                 "unable to use " + escape(path) + ": the path of a socket has 1 to " + std::to_string(kMaxSocketPath) +
                     " bytes (a relative path may be shorter)"};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Result<Fd> new_socket(const char* op, int flags) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd.is_open()) return system_error(op, errno, "unable to make a socket");
  return fd;
}

// Two that start at once must not both find the same stale socket and then remove each other's new one: the lock on the folder
// makes one wait for the other. Where it cannot be had (someone holds a lock on /tmp) the start goes on without.
Fd lock_folder_of(const char* op, const std::string& path) {
  size_t slash = path.rfind('/');
  std::string folder = slash == path.npos ? "." : path.substr(0, slash + 1);
  Result<Fd> fd = open_at(op, AT_FDCWD, folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (!fd) return Fd();
  for (int i = 0; i < kLockTries && ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; i++) {
    ::usleep(kLockPauseUs);
  }
  return std::move(fd).value();
}

// The mode comes from the umask, not from a chmod afterwards: nobody can connect in between.
int bind_with_mode(int fd, const sockaddr_un& address, unsigned mode) {
  mode_t old = ::umask(0777 & ~mode);
  int error = ::bind(fd, generic(address), sizeof address) == 0 ? 0 : errno;
  ::umask(old);
  return error;
}

// Takes the socket of a process that is gone out of the way.
Status remove_stale(const char* op, const std::string& path, const sockaddr_un& address) {
  std::string failed = "unable to serve " + escape(path);
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return errno == ENOENT ? Status() : system_error(op, errno, failed);
  if (!S_ISSOCK(st.st_mode)) return Error{Kind::kSystem, 0, op, failed + ": it exists and is no socket"};
  Fd probe = TFS_TRY(new_socket(op, SOCK_NONBLOCK));
  int error = ::connect(probe.get(), generic(address), sizeof address) == 0 ? 0 : errno;
  if (error == 0 || error == EAGAIN || error == EPROTOTYPE) {  // EAGAIN: its queue is full; EPROTOTYPE: of another kind
    std::string who = error == 0 ? "process " + std::to_string(peer_of(probe.get()).pid) : "another process";
    return Error{Kind::kSystem, 0, op, failed + ": " + who + " is listening there"};
  }
  if (error == ENOENT) return {};
  if (error != ECONNREFUSED) return system_error(op, error, failed);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error(op, errno, "unable to replace " + escape(path));
  return {};
}

}  // namespace

Result<UnixListener> UnixListener::serve(const char* op, std::string path, unsigned mode) {
  sockaddr_un address = TFS_TRY(address_of(op, path));
  Fd lock = lock_folder_of(op, path);
  Fd fd = TFS_TRY(new_socket(op, SOCK_NONBLOCK));
  int error = bind_with_mode(fd.get(), address, mode);
  if (error == EADDRINUSE) {
    TFS_TRY(remove_stale(op, path, address));
    error = bind_with_mode(fd.get(), address, mode);
  }
  if (error != 0) return system_error(op, error, "unable to serve " + escape(path));

  UnixListener listener(std::move(fd), std::move(path));
  struct stat st {};
  if (::lstat(listener.path_.c_str(), &st) == 0) {
    listener.device_ = st.st_dev;
    listener.inode_ = st.st_ino;
  }
  if (::listen(listener.fd(), SOMAXCONN) != 0) return system_error(op, errno, "unable to listen on " + escape(listener.path_));
  return listener;
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : fd_(std::move(other.fd_)), path_(std::move(other.path_)), device_(other.device_), inode_(std::exchange(other.inode_, 0)) {}

void UnixListener::remove() {
  struct stat st {};
  if (inode_ != 0 && ::lstat(path_.c_str(), &st) == 0 && st.st_dev == device_ && st.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
  inode_ = 0;
  fd_.reset();
}

Result<std::optional<Fd>> accept_unix(const char* op, int listener) {
  while (true) {
    int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) return std::optional<Fd>(Fd(fd));
    if (errno == EAGAIN) return std::optional<Fd>();
    if (errno != EINTR && errno != ECONNABORTED) return system_error(op, errno, "unable to accept a connection");
  }
}

Result<Fd> connect_unix(const char* op, const std::string& path) {
  sockaddr_un address = TFS_TRY(address_of(op, path));
  Fd fd = TFS_TRY(new_socket(op, 0));
  while (::connect(fd.get(), generic(address), sizeof address) != 0) {
    if (errno != EINTR) return system_error(op, errno, "unable to connect to " + escape(path));
  }
  return fd;
}

Peer peer_of(int fd) {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return {};
  return {who.pid, who.uid};
}

Result<size_t> send_some(const char* op, int fd, std::span<iovec> pieces) {
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  while (true) {
    ssize_t n = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN) return size_t{0};
    if (errno != EINTR) return system_error(op, errno, "unable to send");
  }
}

Result<std::optional<size_t>> receive_some(const char* op, int fd, std::span<std::byte> into) {
  while (true) {
    ssize_t n = ::recv(fd, into.data(), into.size(), MSG_DONTWAIT);
    if (n >= 0) return std::optional<size_t>(static_cast<size_t>(n));
    if (errno == EAGAIN) return std::optional<size_t>();
    if (errno != EINTR) return system_error(op, errno, "unable to receive");
  }
}

size_t unread_memory(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

bool is_hung_up(int fd) {
  pollfd entry{fd, 0, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR)) != 0;
}

void widen_send_buffer(int fd, size_t bytes) {
  int size = static_cast<int>(std::min<size_t>(bytes, INT_MAX / 2));
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

void limit_waiting(int fd, unsigned seconds) {
  timeval limit{};
  limit.tv_sec = static_cast<time_t>(seconds);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void finish_unix(Fd fd) {
  // A close with bytes unread would make the peer's last read fail with ECONNRESET instead of telling it the end.
  ::shutdown(fd.get(), SHUT_RDWR);
  std::array<std::byte, 16384> scratch;
  for (int i = 0; i < 64 && ::recv(fd.get(), scratch.data(), scratch.size(), MSG_DONTWAIT) > 0; i++) {
  }
}

}  // namespace tfs::sys
