// tfs_journal --keep: two processes, with one table of descriptors and one estate. The keeper holds both and writes the stream; the
// other one serves the mount. Where that is killed, all that it had open and all that it knew is still there, the keeper starts another
// one, and programs on the mount wait for a moment.
//
// The keeper's memory must be fit to be copied at any moment (clone(2)): beside its main thread it has one that writes the stream, which
// takes no locks and no memory.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <deque>
#include <functional>

#include "lib/base/result.h"
#include "lib/journal/estate.h"

namespace tfs::journal {

class Keeper {
 public:
  // Signals of the process that serves to its keeper, and of the keeper to itself.
  static constexpr int kServes = SIGUSR1, kReaderGone = SIGURG;
  // Of the kernel to the process that serves.
  static constexpr int kKeeperGone = SIGUSR1;

  struct Work {
    std::function<int(bool takes_up)> serve;  // in the process that serves, in a thread of its own: what it exits with
    std::function<void()> on_serving;         // the mount is there
    std::function<void()> on_reader_gone;     // the stream ends, the mount goes on
    std::function<Status()> may_hand_over;    // whether the next program can take over
    std::function<Status(int fd)> hand_over;  // becomes it; returns only where that fails
    std::function<void()> give_up;            // the mount goes, for nobody can serve it
  };

  Keeper(Estate& estate, Work work) : estate_(estate), work_(std::move(work)) {}

  // All that tfs_journal waits for by sigwait(3), blocked already. Returns what the process that serves exits with, or a failure.
  Result<int> run(const sigset_t& signals);

  // In the process that serves. Whether a signal is meant for it: others send theirs to the keeper, or to both.
  static bool is_for_us(pid_t sender);
  // Whether its keeper is gone; behind kKeeperGone, which comes with the first of its threads, waits until all of it is.
  static bool is_alone();
  static void wait_until_alone();

 private:
  Status start(bool takes_up);
  bool dies_too_often();

  Estate& estate_;
  const Work work_;
  pid_t child_ = -1;
  std::deque<std::chrono::steady_clock::time_point> deaths_;
};

}  // namespace tfs::journal
