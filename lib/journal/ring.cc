#include "lib/journal/ring.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "lib/base/check.h"
#include "lib/base/page_bytes.h"
#include "lib/sys/futex.h"

namespace tfs::journal {
namespace {

constexpr size_t kPipeSize = size_t{1} << 20;     // the most that an unprivileged process may ask for
constexpr size_t kWriteSize = size_t{256} << 10;  // one write(2): large enough to be cheap, small enough to free room soon
constexpr size_t kWakeAt = Ring::kCapacity / 32;
constexpr int kActivePauseMs = 1;
constexpr size_t kLargeFrame = size_t{32} << 10;
constexpr uint64_t kFewFrames = 8;  // in such a pause: each of them wakes the writer

// errno of write(2), which is done when all is written.
int write_bytes(int fd, const std::byte* bytes, size_t size) {
  while (size > 0) {
    ssize_t n = ::write(fd, bytes, size);
    if (n >= 0) {
      bytes += n;
      size -= static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

void Ring::append(std::span<const ByteView> parts, uint64_t seq) {
  if (is_lost()) {
    seq_ = seq;
    return;
  }
  uint64_t end = appended_.load();
  if (written_.load() == end) origin_ = end;  // the same few pages again: they stay in the processor's cache
  size_t done = write_directly(parts);
  for (ByteView part : parts) {
    size_t skipped = std::min(done, part.size());
    done -= skipped;
    put(end, part.subspan(skipped));
    end += part.size() - skipped;
  }
  if (end == appended_.load()) {
    next_end_ = UINT64_MAX;
    seq_ = seq;
    return;
  }
  TFS_CHECK(end - written_.load() <= kCapacity);
  next_end_ = end;
  next_seq_ = seq;
  appended_ = end;
  seq_ = seq;
  frames_ = frames_.load(std::memory_order_relaxed) + 1;
  uint32_t state = writer_.load();
  if (state == kSleeps || (state == kDozes && end - written_.load() >= kWakeAt)) {
    writer_ = kAwake;
    sys::futex_wake_all(writer_);
  }
}

// How many bytes of it: none but where the writer has nothing to do, and then it has not until append() goes on.
size_t Ring::write_directly(std::span<const ByteView> parts) {
  size_t size = 0;
  for (ByteView part : parts) size += part.size();
  if (size < kLargeFrame || !may_write_directly_.load(std::memory_order_relaxed) || used() != 0 || is_writing_) return 0;
  size_t before = 0, data = 0;
  while (parts[data].size() < kLargeFrame / 2 && data + 1 < parts.size()) before += parts[data++].size();
  if (data == 0 || !is_copied_slowly(parts[data].data(), before)) return write_now(parts);
  size_t done = write_now(parts.first(data));  // then the data begin with a page of the pipe
  return done < before ? done : done + write_now(parts.subspan(data));
}

size_t Ring::write_now(std::span<const ByteView> parts) {
  iovec vectors[4];
  TFS_CHECK(parts.size() <= std::size(vectors));
  for (size_t i = 0; i < parts.size(); i++) vectors[i] = {const_cast<std::byte*>(parts[i].data()), parts[i].size()};
  ssize_t n = ::pwritev2(fd_, vectors, static_cast<int>(parts.size()), -1, RWF_NOWAIT);
  if (n < 0 && errno == EOPNOTSUPP) may_write_directly_ = false;  // a kernel before 6.4, or a file
  return n < 0 ? 0 : static_cast<size_t>(n);                      // what is wrong the writer finds out, and says
}

void Ring::put(uint64_t offset, ByteView bytes) {
  std::byte* to = at(offset);
  size_t first = std::min(bytes.size(), static_cast<size_t>(bytes_ + kCapacity - to));
  if (first > 0) std::memcpy(to, bytes.data(), first);
  if (first < bytes.size()) std::memcpy(bytes_, bytes.data() + first, bytes.size() - first);
}

void Ring::attach(int fd, const format::Position& position) {
  TFS_CHECK(!is_writing_ && used() == 0);
  ::fcntl(fd, F_SETPIPE_SZ, kPipeSize);  // fails on what is no pipe, which is fine
  has_begun_ = false;
  epoch_ = position.epoch;
  next_end_ = UINT64_MAX;
  seq_ = position.seq;
  written_ = appended_.load();
  fd_ = fd;
  has_been_read_ = true;
  lost_errno_ = 0;
  is_lost_ = false;
}

void Ring::change_writer() {
  if (is_writing_) lose(EPIPE);
  writer_ = kAwake;
}

void Ring::begin_epoch(const format::Epoch& epoch) {
  has_begun_ = false;
  next_end_ = UINT64_MAX;
  epoch_ = epoch;
  seq_ = 0;
}

format::Position Ring::position() const {
  return {epoch_, next_end_.load() == appended_.load() ? next_seq_.load() : seq_.load()};
}

bool Ring::drain() {
  while (true) {
    uint32_t seen = room_event();
    if (!is_writing_ && (used() == 0 || is_lost())) return is_lost();
    if (writer_.exchange(kAwake) != kAwake) sys::futex_wake_all(writer_);
    wait_for_room(seen);
  }
}

Status Ring::finish() {
  is_ending_ = true;
  writer_ = kAwake;
  sys::futex_wake_all(writer_);
  while (true) {
    uint32_t seen = room_event();
    if (has_ended_) break;
    wait_for_room(seen);
  }
  if (!has_been_read_) return Error{Kind::kSystem, 0, "journal.output.none", "nobody has read the stream"};
  if (is_lost()) return why_lost();
  return {};
}

void Ring::wait_for_room(uint32_t seen) {
  room_waiters_ += 1;
  sys::futex_wait(room_, seen);
  room_waiters_ -= 1;
}

void Ring::tell_of_room() {
  room_ += 1;
  if (room_waiters_.load() > 0) sys::futex_wake_all(room_);
}

void Ring::write_out(const std::function<void(int)>& on_lost) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point since = Clock::now();
  uint64_t counted = 0;
  while (true) {
    if (used() == 0) {
      if (is_ending_) break;
      sleep();
      continue;
    }
    write_all(on_lost);
    bool are_many = frames_ - counted > kFewFrames;
    if (Clock::time_point now = Clock::now(); now - since >= std::chrono::milliseconds(kActivePauseMs)) {
      since = now;
      counted = frames_;
    }
    if (are_many) doze();
  }
  has_ended_ = true;
  tell_of_room();
}

void Ring::write_all(const std::function<void(int)>& on_lost) {
  while (used() > 0) {
    uint64_t begin = written_.load();
    std::byte* from = at(begin);
    size_t size = std::min({used(), static_cast<size_t>(bytes_ + kCapacity - from), kWriteSize});
    is_writing_ = true;
    if (int error = write_bytes(fd_, from, size)) {
      lose(error);
      on_lost(error);
    } else {
      written_ = begin + size;
      is_writing_ = false;
    }
    tell_of_room();
  }
}

void Ring::lose(int error) {
  ::close(fd_.exchange(-1));
  lost_errno_ = error;
  is_lost_ = true;
  is_writing_ = false;
}

void Ring::sleep() {
  writer_ = kSleeps;
  if (used() == 0 && !is_ending_) sys::futex_wait(writer_, kSleeps);
  writer_ = kAwake;
}

// Frames flow: look again in a moment, unasked.
void Ring::doze() {
  writer_ = kDozes;
  if (used() < kWakeAt && !is_ending_) sys::futex_wait(writer_, kDozes, kActivePauseMs);
  writer_ = kAwake;
}

}  // namespace tfs::journal
