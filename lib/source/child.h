// A command that runs in a process group of its own, with its standard output in a pipe to us or where ours is, and that never
// outlives us.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "lib/sys/fd.h"

namespace tfs::source {

struct ChildPipes {
  bool has_input = false;  // else its standard input is /dev/null
  bool has_output = true;  // else its standard output is ours
};

class Child {
 public:
  // Runs `words`, found through PATH; standard error is ours. kUsage where it cannot be run at all.
  // Call it from a thread that lives as long as the process: with that thread, the child is told to end (PR_SET_PDEATHSIG).
  static Result<Child> start(const std::vector<std::string>& words, ChildPipes pipes = {});

  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child() { stop(); }

  int output() const { return output_.get(); }  // -1 without `has_output`
  int process() const { return process_.get(); }
  sys::Fd take_input() { return std::move(input_); }  // the way in, with `has_input`

  // Waits up to `most_ms` for its end; the status as waitpid(2) has it. Nothing where it still runs.
  std::optional<int> wait(int most_ms);
  // Ends it and what it has started: TERM, a moment, KILL. Fine if it has ended already.
  void stop();

 private:
  Child(pid_t pid, sys::Fd process, sys::Fd output);
  std::optional<int> reap();

  pid_t pid_ = -1;   // -1 once it is reaped
  sys::Fd process_;  // pidfd_open(2)
  sys::Fd output_, input_;
};

// "exit status 3", "killed by signal 9".
std::string status_text(int wait_status);

}  // namespace tfs::source
