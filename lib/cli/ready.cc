#include "lib/cli/ready.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "lib/cli/options.h"
#include "lib/sys/fd.h"

namespace tfs::cli {
namespace {

// The protocol of sd_notify(3): one datagram. A name that begins with '@' is abstract.
void notify_systemd() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  size_t size = std::strlen(path);
  if (size == 0 || size >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, size);
  if (path[0] == '@') address.sun_path[0] = '\0';
  sys::Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return;
  constexpr std::string_view text = "READY=1";
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  [[maybe_unused]] ssize_t n =
      ::sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), length);
}

}  // namespace

std::function<Status(std::string_view)> Ready::setter() {
  return [this](std::string_view text) -> Status {
    uint64_t fd = TFS_TRY(parse_count(text));
    if (fd > 1 << 20 || ::fcntl(static_cast<int>(fd), F_GETFD) < 0) return usage_error("no open descriptor");
    fd_ = static_cast<int>(fd);
    ::fcntl(fd_, F_SETFD, FD_CLOEXEC);
    return {};
  };
}

void Ready::announce() {
  notify_systemd();
  if (fd_ < 0) return;
  [[maybe_unused]] ssize_t n = ::write(fd_, "\n", 1);
  ::close(fd_);
  fd_ = -1;
}

}  // namespace tfs::cli
