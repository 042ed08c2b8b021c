// What may pass by itself or by a person's hand is waited for, without a new start of the program: 0.1 s at first, 5 s at most.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"

namespace tfs::apply {

class Patience {
 public:
  // `stop`: a descriptor that ends the wait when it becomes readable, or -1.
  explicit Patience(int stop) : stop_(stop) {}

  // Says `why` where it is another than the last one, and waits. False where it was stopped.
  Result<bool> wait(const std::string& why);

  // It has passed: says so, where something had been said.
  void end();

 private:
  const int stop_;
  int64_t pause_ms_ = kFirstPauseMs;
  std::string said_;

  static constexpr int64_t kFirstPauseMs = 100, kLongestPauseMs = 5000;
};

}  // namespace tfs::apply
