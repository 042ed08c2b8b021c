// "Only one writer", and whether there is one. A lock of the open file description (fcntl(2), OFD): unlike flock(2) it can be asked
// for without taking it for a moment, so that a reader who looks never turns a writer away. Ends with the process, however that ends.
#pragma once

#include "lib/spool/dir.h"

namespace tfs::spool {

class WriterLock {
 public:
  // kSystem "is in use by process N" where there is a writer.
  static Result<WriterLock> take(const Dir& dir);

  // The machine was started anew since the last writer, or the filesystem was mounted anew, or the disk had refused something: what was not
  // synced may be lost in any order.
  bool is_after_restart() const { return is_after_restart_; }
  // What that has left is in order: the next writer need not look again.
  void note_start();
  // The disk has refused something: the next writer has to look.
  void note_loss();

 private:
  void write(const std::string& line);

  sys::Fd fd_;
  std::string line_, doubtful_line_;  // of this start, and with no start of the machine that there was
  bool is_after_restart_ = false;
};

// Asks, without taking anything, as often as wanted.
class WriterProbe {
 public:
  explicit WriterProbe(const Dir& dir);
  bool is_running() const;
  std::string pid() const;  // of the running one, for people

 private:
  sys::Fd fd_;
};

}  // namespace tfs::spool
