// UNIX stream sockets: serving a path, connecting to it, and moving bytes without waiting. No loop.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <optional>
#include <span>
#include <string>

#include "lib/base/bytes.h"
#include "lib/sys/fd.h"

namespace tfs::sys {

constexpr size_t kMaxSocketPath = 107;  // sun_path without its NUL

// A nonblocking listening socket and the name that it has in the file system.
class UnixListener {
 public:
  // Binds `path` with exactly the permissions `mode` from the first moment on, and listens. The socket of a process that is
  // gone is replaced; where one still listens, or where something else than a socket is, this fails and changes nothing.
  static Result<UnixListener> serve(const char* op, std::string path, unsigned mode);

  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener() { remove(); }

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  // Closes it, and takes the name away if it is still this socket's.
  void remove();

 private:
  UnixListener(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// The next connection, nonblocking; nothing where none waits. An Error is one of the process or the machine (EMFILE, ENOMEM).
Result<std::optional<Fd>> accept_unix(const char* op, int listener);

// Connects, blocking.
Result<Fd> connect_unix(const char* op, const std::string& path);

struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
};
Peer peer_of(int fd);  // who connected, or who listens; zeros where the kernel does not say

// How many bytes went into the socket; 0: it is full. Never waits, raises no SIGPIPE.
Result<size_t> send_some(const char* op, int fd, std::span<iovec> pieces);
// 0 at the end; nothing where nothing is there. Never waits.
Result<std::optional<size_t>> receive_some(const char* op, int fd, std::span<std::byte> into);

// Memory that the kernel holds for what was sent and not yet read: at least as many bytes as those.
size_t unread_memory(int fd);
bool is_hung_up(int fd);                       // both directions are closed
void widen_send_buffer(int fd, size_t bytes);  // as far as the system's limit allows
void limit_waiting(int fd, unsigned seconds);  // of blocking reads and writes: they fail with EAGAIN

// Ends a connection so that the peer can read all that was sent, then sees the end.
void finish_unix(Fd fd);

}  // namespace tfs::sys
