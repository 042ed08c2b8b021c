#include "lib/journal/output.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "lib/sys/io.h"

namespace tfs::journal {
namespace {

constexpr size_t kPipeSize = size_t{1} << 20;     // the most that an unprivileged process may ask for
constexpr size_t kWriteSize = size_t{256} << 10;  // one write(2): large enough to be cheap, small enough to free room soon
constexpr size_t kWakeAt = Output::kCapacity / 32;
constexpr auto kActivePause = std::chrono::milliseconds(1);
constexpr uint64_t kFewFrames = 8;  // in such a pause: each of them wakes the writer

}  // namespace

Output::Output(std::function<void(const Error&)> on_lost) : on_lost_(std::move(on_lost)), ring_(new std::byte[kCapacity]) {
  writer_ = std::thread([this] { run(); });
}

Output::~Output() {
  if (writer_.joinable()) static_cast<void>(finish().ok());
}

bool Output::drain() {
  std::unique_lock lock(mutex_);
  work_.notify_one();
  room_.wait(lock, [this] { return !is_writing_ && (used_ == 0 || is_lost_); });
  return is_lost_;
}

void Output::attach(sys::Fd fd) {
  std::lock_guard guard(mutex_);
  TFS_CHECK(!is_writing_ && used_ == 0);
  fd_ = std::move(fd);
  ::fcntl(fd_.get(), F_SETPIPE_SZ, kPipeSize);  // fails on what is no pipe, which is fine
  is_lost_ = false;
  result_ = {};
}

bool Output::reserve(size_t size) {
  std::lock_guard guard(mutex_);
  if (!is_lost_ && used_ + reserved_ + size > kCapacity) return false;
  reserved_ += size;
  return true;
}

void Output::wait_and_reserve(size_t size) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return is_lost_ || used_ + reserved_ + size <= kCapacity; });
  reserved_ += size;
}

void Output::release(size_t size) {
  std::lock_guard guard(mutex_);
  reserved_ -= size;
  room_.notify_all();
}

void Output::append(std::span<const ByteView> parts) {
  std::lock_guard guard(mutex_);
  if (is_lost_) return;
  if (used_ == 0) begin_ = 0;  // the same few pages again: they stay in the processor's cache
  for (ByteView part : parts) put(part);
  appended_ += 1;
  if (writer_sleeps_ || used_ >= kWakeAt) work_.notify_one();
}

void Output::put(ByteView bytes) {
  size_t end = (begin_ + used_) % kCapacity;
  size_t first = std::min(bytes.size(), kCapacity - end);
  if (first > 0) std::memcpy(ring_.get() + end, bytes.data(), first);
  if (first < bytes.size()) std::memcpy(ring_.get(), bytes.data() + first, bytes.size() - first);
  used_ += bytes.size();
  TFS_CHECK(used_ <= kCapacity);
}

void Output::run() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point since = Clock::now();
  uint64_t counted = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    if (used_ == 0) {
      if (is_ending_) return;
      writer_sleeps_ = true;
      work_.wait(lock, [this] { return used_ > 0 || is_ending_; });
      writer_sleeps_ = false;
      continue;
    }
    while (used_ > 0) {
      size_t size = std::min({used_, kCapacity - begin_, kWriteSize});
      ByteView bytes(ring_.get() + begin_, size);
      is_writing_ = true;
      lock.unlock();
      Status status = sys::write_all("journal.output.write", fd_.get(), bytes);
      if (!status) on_lost_(status.error());
      lock.lock();
      is_writing_ = false;
      if (!status) {
        is_lost_ = true;
        used_ = 0;
        result_ = status;
        fd_.reset();
        room_.notify_all();
        break;
      }
      used_ -= size;
      begin_ = (begin_ + size) % kCapacity;
      room_.notify_all();
    }
    bool are_many = appended_ - counted > kFewFrames;
    if (Clock::time_point now = Clock::now(); now - since >= kActivePause) {
      since = now;
      counted = appended_;
    }
    // Frames flow: look again in a moment, unasked.
    if (are_many) work_.wait_for(lock, kActivePause, [this] { return used_ >= kWakeAt || is_ending_; });
  }
}

Status Output::finish() {
  {
    std::lock_guard guard(mutex_);
    is_ending_ = true;
    work_.notify_one();
  }
  if (writer_.joinable()) writer_.join();
  return result_;
}

int Output::descriptor() const {
  std::lock_guard guard(mutex_);
  return is_lost_ ? -1 : fd_.get();
}

bool Output::is_lost() const {
  std::lock_guard guard(mutex_);
  return is_lost_;
}

size_t Output::backlog() const {
  std::lock_guard guard(mutex_);
  return used_;
}

}  // namespace tfs::journal
