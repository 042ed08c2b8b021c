// What a mirror does by the clock and not by the stream: its metrics, and putting what was applied on disk. A thread beside the replay,
// outside of its sandbox.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "lib/apply/state.h"

namespace tfs {

class Upkeep {
 public:
  // `metrics`: a file, or empty. `sync_ms` 0: never.
  Upkeep(apply::State& state, std::string dir, std::string metrics, uint64_t sync_ms);
  ~Upkeep();
  Upkeep(const Upkeep&) = delete;
  Upkeep& operator=(const Upkeep&) = delete;

  // The descriptor that the stream comes from, to ask how much is in it; -1: none.
  void set_input(int fd) { input_ = fd; }

 private:
  static constexpr int kMetricsMs = 5000;
  void run();
  void write_metrics();

  apply::State& state_;
  const std::string dir_, metrics_;
  const uint64_t sync_ms_;
  std::atomic<int> input_{-1};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_ending_ = false;
  std::thread thread_;
};

}  // namespace tfs
