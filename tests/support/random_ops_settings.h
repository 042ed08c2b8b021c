// What random_ops was asked to do, and what its processes share while they do it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace tfs::support {

class Worker;

// One kind of operation. `extra` are errors that are normal for this kind beside those that are normal for all.
struct Op {
  const char* name;
  unsigned weight;
  void (*run)(Worker&);
  int extra[4] = {};
};

struct Settings {
  uint64_t seed = 1;
  uint64_t ops = 1000;
  unsigned procs = 1;
  unsigned threads = 1;
  bool users = false;
  bool big = false;
  bool verbose = false;
  bool trace = false;
  std::string dir;
  std::string snapshots;
  std::string manifest;
  std::string store;
  uint64_t every = 0;
  std::vector<Op> table;  // what --only and --without left

  bool alone() const { return procs == 1 && threads == 1; }
};

inline constexpr size_t kMaxOps = 64;

// In memory that all processes map. A worker that fails stops the others.
struct Shared {
  struct Counter {
    std::atomic<uint64_t> tried{0};
    std::atomic<uint64_t> refused{0};
  };
  std::atomic<bool> stop{false};
  Counter counters[kMaxOps];
};

// What a worker process holds of the world outside DIR: /proc/self/fd for its own descriptors, and the pipes to the
// parent, which takes the snapshots (the worker can't run a program: it is confined to DIR, if that was allowed).
struct Outside {
  int proc_fd = -1;
  bool confined = false;
  int snapshot_request = -1;
  int snapshot_reply = -1;
};

}  // namespace tfs::support
