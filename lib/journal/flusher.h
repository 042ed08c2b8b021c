// Bounds how long what programs have written may lie in the kernel's page cache of the mount before it comes to us: with
// -o writeback_cache all that is written lies there, else only what is written through mappings, up to half a minute.
//
// syncfs(2) of the mount has the kernel send it. A process of its own does that: see lib/sys/apart.h.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "lib/sys/fd.h"

namespace tfs::journal {

class Flusher {
 public:
  // Twice in `delay`, as long as `is_needed`: as long as something is open for writing, for a close sends what is left.
  Flusher(std::string mountpoint, std::chrono::milliseconds delay, std::function<bool()> is_needed);
  // What is under way is not waited for.
  ~Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

 private:
  bool run(std::chrono::milliseconds pause);

  const std::string mountpoint_;
  const std::function<bool()> is_needed_;
  sys::Fd control_;
  std::thread thread_;
};

}  // namespace tfs::journal
