// Puts segments on disk from a thread of its own, so that the data path never waits for fsync(2); only --sync each does.
//
// All methods are the writer's thread's. The mutex is held for no system call, and no other lock is taken under it.
//
// What the kernel could not put on disk it forgets, says so once, and shows what it has in memory as long as that stays there. So a sync
// that failed cannot be made good by another one: whoever writes here next has to look at what is really there.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "lib/spool/dir.h"

namespace tfs::spool {

struct SyncPolicy {
  enum class When { kNever, kSegment, kInterval, kEach } when = When::kSegment;
  uint64_t interval_ms = 0;  // of kInterval
};

class Syncer {
 public:
  // `on_loss` is called where something cannot be put on disk, at once, in either thread. `dir` must outlive it.
  Syncer(const Dir& dir, SyncPolicy policy, std::function<void()> on_loss);
  ~Syncer();
  Syncer(const Syncer&) = delete;

  bool is_each() const { return policy_.when == SyncPolicy::When::kEach; }

  // With kEach: `file`, and what changed in the directory, is on disk when this returns. Else notes that there is something to do.
  Status wrote(int file);
  void renamed() { is_dir_dirty_ = true; }

  // The file that is written from here on, for kInterval.
  Status follow(int file);
  // A segment that is complete: put on disk, then marked as finished (no write permission).
  Status finish(sys::Fd file, std::string name);

  // A segment that is not complete, at the end of the writer.
  Status put_on_disk_now(int file);

  // Until all that is finished is on disk. The first error that the thread met comes out here, or of any call above.
  Status drain();

 private:
  using Clock = std::chrono::steady_clock;
  struct Job {
    sys::Fd file;
    std::string name;  // of a finished segment; empty where it is the newest one's turn
  };

  void run();
  Status lost(Error error) const;
  Status sync_names(const char* op) const;
  std::optional<Job> next_job(Clock::time_point& due);
  Status put_on_disk(const Job& job);

  const Dir& dir_;
  SyncPolicy policy_;
  const std::function<void()> on_loss_;
  bool is_dir_dirty_ = true;  // the writer's own, of kEach; a killed one may have left it so

  std::mutex mutex_;  // over all below
  std::condition_variable work_, done_;
  std::deque<Job> jobs_;
  sys::Fd newest_;
  bool is_dirty_ = false, is_busy_ = false, is_over_ = false;
  Status status_;
  std::thread thread_;
};

}  // namespace tfs::spool
