// A mutex of four bytes: every node has one, so that no two files ever share a lock by accident of a hash.
#pragma once

#include <atomic>
#include <cstdint>

namespace tfs::journal {

class NodeLock {
 public:
  void lock() {
    uint32_t free = kFree;
    if (state_.compare_exchange_strong(free, kLocked, std::memory_order_acquire)) return;
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree) state_.wait(kContended);
  }
  void unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) state_.notify_one();
  }

 private:
  enum : uint32_t { kFree, kLocked, kContended };
  std::atomic<uint32_t> state_{kFree};
};

}  // namespace tfs::journal
