#include "lib/spool/file_io.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <string_view>

namespace tfs::spool {
namespace {

using Line = std::array<char, kPlaceLine + 1>;  // a longer file is none of ours

Result<std::string_view> read_line(const char* op, int fd, const std::string& shown, Line& line) {
  while (true) {
    ssize_t n = ::pread(fd, line.data(), line.size(), 0);
    if (n >= 0) return std::string_view(line.data(), static_cast<size_t>(n));
    if (errno != EINTR) return system_error(op, errno, "unable to read " + shown);
  }
}

}  // namespace

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

// A read takes no lock everywhere: on ext4 the beginning of one line may come with the end of the one before (one of 10,000 reads, while
// it is written without a pause). The checksum tells, and the next read has it whole, unless whoever writes rests in the midst of it.
Result<std::optional<PlaceMark>> read_place(const char* op, int fd, const std::string& shown) {
  constexpr int kMostReads = 200;
  constexpr timespec kPause{0, 100'000};
  for (int reads = 1;; reads++) {
    Line line;
    std::string_view text = TFS_TRY(read_line(op, fd, shown, line));
    std::optional<PlaceMark> place = parse_place(text);
    if (place || text.size() != kPlaceLine || reads == kMostReads) return place;
    if (reads > 2) ::nanosleep(&kPause, nullptr);
  }
}

Error damaged(const std::string& shown, uint64_t offset, const Error& why) {
  return {why.kind, 0, "", shown + " is damaged at byte " + std::to_string(offset) + ": " + why.message()};
}

}  // namespace tfs::spool
