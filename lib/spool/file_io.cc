#include "lib/spool/file_io.h"

#include <unistd.h>

#include <cerrno>

namespace tfs::spool {

Result<size_t> read_at(const char* op, int fd, const std::string& shown, uint64_t offset, std::span<std::byte> into) {
  size_t size = 0;
  while (size < into.size()) {
    ssize_t n = ::pread(fd, into.data() + size, into.size() - size, static_cast<off_t>(offset + size));
    if (n == 0) break;
    if (n > 0) size += static_cast<size_t>(n);
    else if (errno != EINTR)
      return system_error(op, errno, "unable to read " + shown + " at byte " + std::to_string(offset + size));
  }
  return size;
}

Error damaged(const std::string& shown, uint64_t offset, const Error& why) {
  return {why.kind, 0, "", shown + " is damaged at byte " + std::to_string(offset) + ": " + why.message()};
}

bool is_full(const Error& error) {
  return error.kind == Kind::kSystem && (error.sys_errno == ENOSPC || error.sys_errno == EDQUOT);
}

}  // namespace tfs::spool
