// An io_uring(7) that carries one command of a driver (IORING_OP_URING_CMD) at a time: given to the kernel, and waited for. Bare system
// calls, as one ring with one place needs no library.
//
// Threads: only the one that made it may use it. Source: io_uring_setup(2), io_uring_enter(2), <linux/io_uring.h>.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/bytes.h"
#include "lib/base/result.h"
#include "lib/sys/fd.h"

struct io_uring_sqe;
struct io_uring_cqe;

namespace tfs::sys {

class CommandRing {
 public:
  static constexpr size_t kMostArguments = 80;

  static Result<CommandRing> make();
  CommandRing(CommandRing&& other) noexcept;
  CommandRing& operator=(CommandRing&&) = delete;
  ~CommandRing();

  // `buffers` has to stay only until this returns. A command that the kernel refuses at once ends like any other.
  void start(int fd, uint32_t operation, std::span<const iovec> buffers, ByteView arguments);
  // Whether it has ended, so that wait() will not wait.
  bool has_ended() const;
  // How the command ended: 0 or a negative errno.
  int wait();
  // Both, with one system call.
  int run(int fd, uint32_t operation, std::span<const iovec> buffers, ByteView arguments);

 private:
  CommandRing() = default;
  void put(int fd, uint32_t operation, std::span<const iovec> buffers, ByteView arguments);
  int enter(unsigned submitted, unsigned awaited);
  bool take(int& result);

  Fd fd_;
  std::span<std::byte> rings_, commands_;
  uint32_t *sq_tail_ = nullptr, *sq_array_ = nullptr, *cq_head_ = nullptr, *cq_tail_ = nullptr;
  uint32_t sq_mask_ = 0, cq_mask_ = 0;
  io_uring_cqe* completions_ = nullptr;
};

}  // namespace tfs::sys
