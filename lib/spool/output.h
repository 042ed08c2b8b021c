// The writer's own standard output: a reader like every other, in a thread of the same process. However slow it is, the spool takes what
// comes; and as it counts as a registered reader, nothing that it has not given out is trimmed, now or after a restart.
#pragma once

#include <functional>
#include <thread>

#include "lib/spool/pump.h"
#include "lib/spool/writer.h"

namespace tfs::spool {

// Where it begins: behind what it gave out in the last run. If that was killed, or its reader was gone, what was on the way may be lost:
// then it begins earlier, and whoever reads passes over what he holds already. The first time, with the next frame that comes in.
Result<Reader> output_start(const Dir& dir, const Writer& writer, const std::optional<PlaceMark>& before);

// For a registered reader that comes back: the same, without a writer.
Result<Reader> resume_reader(const Dir& dir, const PlaceMark& before);

class Output {
 public:
  // `on_failure` is called once, in the thread, for all but a closed descriptor. `dir` must outlive it.
  Output(const Dir& dir, Reader reader, Registration registration, int fd, std::function<void()> on_failure);
  ~Output();
  Output(const Output&) = delete;

  Status start();
  // Gives out all that the spool holds, then ends. The error that it met.
  Status finish();

 private:
  void run() noexcept;
  Status give_out();

  Reader reader_;
  Registration registration_;
  Pump pump_;
  std::function<void()> on_failure_;
  Stop over_;
  Status status_;  // of the thread, until it is joined
  std::thread thread_;
};

}  // namespace tfs::spool
