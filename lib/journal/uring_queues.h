// Requests through io_uring instead of /dev/fuse (Linux 6.14): the kernel has a queue for each processor and hands a request to a thread of
// ours on the processor of the program that asks. So nobody is woken on another processor, and answering the one request
// and waiting for the next is one system call.
//
// Each thread has a ring and an entry of its own, and does one request at a time: whatever it waits for, a disk or another
// request, no other request waits for it. A queue whose spare threads become few gets another one. FORGET and INTERRUPT come
// through /dev/fuse still, and whoever reads there goes on doing so.
//
// The kernel gives a request that found no entry free to the next entry that is committed in that queue, not to one that is new there. A
// commit that brings no request shows that there is none: where no such commit follows a new entry within some milliseconds, somebody asks
// the mount for something, on that processor, and then one is committed. That has to be another process (apart.h), and one from before, for
// it is small. A queue on whose processor we may not run has a fixed number of threads.
//
// Source: fuse-io-uring.rst of Linux; <linux/fuse.h>.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/journal/uring_entry.h"
#include "lib/sys/command_ring.h"
#include "lib/sys/fd.h"
#include "lib/sys/region.h"

namespace tfs::journal {

class UringQueues {
 public:
  static constexpr int kMost = 256;  // threads of a queue

  // `handle` sees to it that the entry is answered, now or later, by any thread.
  UringQueues(std::string mountpoint, std::function<void(UringEntry&)> handle);
  ~UringQueues() = default;  // never while threads run
  UringQueues(const UringQueues&) = delete;
  UringQueues& operator=(const UringQueues&) = delete;

  // Before the kernel is told that it may use it, for it then waits for all of these: the first threads of each queue.
  Status prepare();

  // Behind the answer to INIT.
  void start(int fuse);

 private:
  static constexpr int kFirst = 2, kSpare = 2, kFixed = 32;  // threads of a queue

  // Shared with the process that asks: new entries, and how many of them are known to have left no request behind.
  struct News {
    std::atomic<uint32_t> entries, checked;
  };

  struct Queue {
    uint16_t number = 0;  // of its processor
    bool can_grow = false;
    News* news = nullptr;
    std::atomic<int> threads{0}, free{0};
  };

  Status start_asking();
  uint32_t start_threads(Queue& queue, bool is_online);
  Result<sys::CommandRing> set_up(const Queue& queue);
  void run_first(Queue& queue);
  void run_further(Queue& queue);
  void serve(Queue& queue, sys::CommandRing& ring, UringEntry& entry, bool is_first);
  void note_taken(Queue& queue);
  int commit(Queue& queue, sys::CommandRing& ring, ByteView arguments);
  int ask_as_told(int from);

  const std::string mountpoint_;
  const std::function<void(UringEntry&)> handle_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::optional<sys::Region> news_;  // of all queues
  sys::Fd asking_;                   // to the process that asks: numbers of processors
  std::mutex mutex_;
  Status prepared_;
  std::atomic<uint32_t> prepared_count_{0};
  std::atomic<int> fuse_{-1};
};

}  // namespace tfs::journal
