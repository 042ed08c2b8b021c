// A place for one request of FUSE's, and for its answer, in memory that the kernel fills and reads through io_uring. A request lies
// there as read(2) on /dev/fuse would have given it: header, fixed part and the rest in sequence.
//
// The memory: a page whose start the kernel uses for the headers, and behind it what follows them. The headers are copied to the end of
// that page, so that the payload stays where it is.
//
// Threads: one at a time; answer() may be called by another one than the one that serves the entry, once for each request.
// Source: struct fuse_uring_req_header of <linux/fuse.h>, Linux 6.14.
#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/result.h"
#include "lib/sys/region.h"

namespace tfs::journal {

class UringEntry {
 public:
  static constexpr size_t kMostPayload = size_t{1} << 20;  // for max_write, and 256 pages to be read

  static Result<UringEntry> make();
  UringEntry(UringEntry&& other) noexcept : memory_(std::move(other.memory_)) {}  // before its first request
  UringEntry& operator=(UringEntry&&) = delete;
  ~UringEntry() = default;

  // For the kernel, which remembers where it is.
  std::array<iovec, 2> buffers();

  // Makes a whole of what the kernel has put there; false where it is none.
  bool open_request();
  fuse_in_header& request() const { return *request_; }
  uint64_t unique() const { return unique_; }  // also while the answer is written over it
  // For the body of an answer, by who has no need of the request any more.
  std::span<std::byte> room() const { return {payload(), kMostPayload}; }

  // `parts` begin with a fuse_out_header.
  void answer(std::span<const iovec> parts);
  void refuse(int error);
  void wait_until_answered() { is_answered_.wait(false); }

 private:
  struct Headers;
  static constexpr size_t kHeadersSize = 4096;

  explicit UringEntry(sys::Region memory) : memory_(std::move(memory)) {}
  Headers& headers() const { return *reinterpret_cast<Headers*>(memory_.begin()); }
  std::byte* payload() const { return memory_.begin() + kHeadersSize; }

  sys::Region memory_;
  fuse_in_header* request_ = nullptr;
  uint64_t unique_ = 0;
  std::atomic<bool> is_answered_{false};
};

}  // namespace tfs::journal
