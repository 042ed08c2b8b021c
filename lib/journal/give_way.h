// Work in the background that gives way to the programs on the mount: while these ask for much and every processor is busy, it takes a
// sixteenth of one; at all other times it is not held up.
//
// Threads: the one that works.
#pragma once

#include <chrono>
#include <cstdint>

namespace tfs::journal {

class GiveWay {
 public:
  // Between two pieces of work: returns at once, or waits for up to some 20 ms.
  void between();

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  int64_t worked_ns_ = 0;  // of this thread, up to then
  uint32_t replies_ = 0;
};

}  // namespace tfs::journal
