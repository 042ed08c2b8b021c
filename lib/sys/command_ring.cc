#include "lib/sys/command_ring.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/base/check.h"

namespace tfs::sys {
namespace {

constexpr size_t kCommandSize = 2 * sizeof(io_uring_sqe);  // IORING_SETUP_SQE128

Result<std::span<std::byte>> map(int fd, size_t size, uint64_t offset) {
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(offset));
  if (at == MAP_FAILED) return system_error("sys.command_ring.mmap", errno, "unable to map an io_uring");
  ::madvise(at, size, MADV_DONTFORK);  // a process that had it would keep the commands alive when this one is killed
  return std::span(static_cast<std::byte*>(at), size);
}

}  // namespace

Result<CommandRing> CommandRing::make() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  CommandRing ring;
  ring.fd_ = Fd(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &params)));
  if (!ring.fd_.is_open()) return system_error("sys.command_ring.setup", errno, "unable to make an io_uring");
  if ((params.features & IORING_FEAT_SINGLE_MMAP) == 0)
    return system_error("sys.command_ring.features", ENOSYS, "unable to make an io_uring");
  size_t size = std::max(params.sq_off.array + params.sq_entries * sizeof(uint32_t),
                         params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  ring.rings_ = TFS_TRY(map(ring.fd_.get(), size, IORING_OFF_SQ_RING));
  ring.commands_ = TFS_TRY(map(ring.fd_.get(), params.sq_entries * kCommandSize, IORING_OFF_SQES));
  auto word = [&](uint32_t offset) { return reinterpret_cast<uint32_t*>(ring.rings_.data() + offset); };
  ring.sq_tail_ = word(params.sq_off.tail);
  ring.sq_array_ = word(params.sq_off.array);
  ring.sq_mask_ = *word(params.sq_off.ring_mask);
  ring.cq_head_ = word(params.cq_off.head);
  ring.cq_tail_ = word(params.cq_off.tail);
  ring.cq_mask_ = *word(params.cq_off.ring_mask);
  ring.completions_ = reinterpret_cast<io_uring_cqe*>(ring.rings_.data() + params.cq_off.cqes);
  return ring;
}

CommandRing::CommandRing(CommandRing&& other) noexcept
    : fd_(std::move(other.fd_)),
      rings_(std::exchange(other.rings_, {})),
      commands_(std::exchange(other.commands_, {})),
      sq_tail_(other.sq_tail_),
      sq_array_(other.sq_array_),
      cq_head_(other.cq_head_),
      cq_tail_(other.cq_tail_),
      sq_mask_(other.sq_mask_),
      cq_mask_(other.cq_mask_),
      completions_(other.completions_) {}

CommandRing::~CommandRing() {
  for (std::span<std::byte> mapped : {rings_, commands_}) {
    if (!mapped.empty()) ::munmap(mapped.data(), mapped.size());
  }
}

void CommandRing::put(int fd, uint32_t operation, std::span<const iovec> buffers, ByteView arguments) {
  TFS_CHECK(arguments.size() <= kMostArguments);
  uint32_t tail = *sq_tail_, place = tail & sq_mask_;
  std::byte* at = commands_.data() + place * kCommandSize;
  std::memset(at, 0, kCommandSize);
  auto& command = *reinterpret_cast<io_uring_sqe*>(at);
  command.opcode = IORING_OP_URING_CMD;
  command.fd = fd;
  command.cmd_op = operation;
  command.addr = reinterpret_cast<uint64_t>(buffers.data());
  command.len = static_cast<uint32_t>(buffers.size());
  std::copy(arguments.begin(), arguments.end(), at + kCommandSize - kMostArguments);
  sq_array_[place] = place;
  std::atomic_ref(*sq_tail_).store(tail + 1, std::memory_order_release);
}

// How many commands the kernel took; interrupted while it waited behind that, it says that number, too. Or a negative errno.
int CommandRing::enter(unsigned submitted, unsigned awaited) {
  long n = ::syscall(SYS_io_uring_enter, fd_.get(), submitted, awaited, IORING_ENTER_GETEVENTS, nullptr, 0);
  return n < 0 ? -errno : static_cast<int>(n);
}

bool CommandRing::has_ended() const { return *cq_head_ != std::atomic_ref(*cq_tail_).load(std::memory_order_acquire); }

bool CommandRing::take(int& result) {
  if (!has_ended()) return false;
  uint32_t head = *cq_head_;
  result = completions_[head & cq_mask_].res;
  std::atomic_ref(*cq_head_).store(head + 1, std::memory_order_release);
  return true;
}

void CommandRing::start(int fd, uint32_t operation, std::span<const iovec> buffers, ByteView arguments) {
  put(fd, operation, buffers, arguments);
  int n = 0;
  while ((n = enter(1, 0)) < 0) TFS_CHECK(n == -EINTR || n == -EAGAIN);
}

int CommandRing::wait() {
  int result = 0;
  while (!take(result)) {
    int n = enter(0, 1);
    if (n < 0 && n != -EINTR && n != -EAGAIN) return n;
  }
  return result;
}

int CommandRing::run(int fd, uint32_t operation, std::span<const iovec> buffers, ByteView arguments) {
  put(fd, operation, buffers, arguments);
  int n = 0;
  while ((n = enter(1, 1)) < 0) {
    if (n != -EINTR && n != -EAGAIN) return n;
  }
  return wait();
}

}  // namespace tfs::sys
