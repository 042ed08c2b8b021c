// A source that comes back: a command whose standard output is the stream, run again with the position held, after growing pauses, until the
// stream has ended in order or the need for a person is certain. The reading of the stream, and the waiting, are the caller's: nothing
// here blocks but the end of a command whose output is closed already (five seconds at most).
//
//   while (true) {
//     start(position)        then read output() to its end, or until it is silent for too long, or stop()
//     Decision d = finish(how the stream ended, whether it brought anything new)
//     kDone: the end    kGiveUp: the end, with d.why    kAgain: say d.why, pause d.pause_ms
//   }
#pragma once

#include <cstdint>
#include <optional>

#include "lib/format/position.h"
#include "lib/source/backoff.h"
#include "lib/source/child.h"

namespace tfs::source {

struct Settings {
  std::vector<std::string> command;  // "%p" stands for the position
  uint64_t least_pause_ms = 500;
  uint64_t most_pause_ms = 30'000;
  bool has_input = false;  // its standard input is a pipe from us
};

enum class StreamEnd {
  kClean,     // with END
  kBrokeOff,  // without
  kSilent,    // nothing came, no heartbeat either: the peer is given up
};

struct Decision {
  enum class What { kDone, kAgain, kGiveUp } what = What::kDone;
  uint64_t pause_ms = 0;  // of kAgain
  Error why;              // of kAgain, to be said; of kGiveUp, to end with
};

class Source {
 public:
  explicit Source(Settings settings);

  // Runs the command. Where it cannot be run there is no use in trying again.
  Status start(const std::optional<format::Position>& position);
  int output() const { return child_->output(); }
  // Readable (poll) when the command itself has ended, though what it has left behind may hold the output open.
  int process() const { return child_->process(); }
  sys::Fd take_input() { return child_->take_input(); }

  // The stream of this run is over.
  Decision finish(StreamEnd end, bool has_progressed);
  // Ends the command; the destructor does, too.
  void stop() { child_.reset(); }

 private:
  Settings settings_;
  Backoff backoff_;
  std::optional<Child> child_;
};

// What the end of a run means: pure, `wait_status` as of waitpid(2), nothing where the command had to be ended.
Decision decide(StreamEnd end, std::optional<int> wait_status, const std::string& command);

}  // namespace tfs::source
