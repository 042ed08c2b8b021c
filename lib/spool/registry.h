// The readers that a spool holds frames for: a file for each in "readers", with the place up to which it has taken, and "output" for the
// writer's own standard output. A lock on the directory "readers" stands between registering and trimming, so that no
// segment goes while a reader is about to hold it.
#pragma once

#include <cstdint>

#include "lib/spool/dir.h"

namespace tfs::spool {

// "Nothing is registered or trimmed now." Ends with the object.
class TrimLock {
 public:
  static Result<TrimLock> take(const Dir& dir);

 private:
  sys::Fd fd_;
};

// A reader's own file, kept up to date as it goes.
class Registration {
 public:
  // Makes or opens it. kSystem "is in use" where another process reads under this name.
  static Result<Registration> open(const Dir& dir, const std::string& name);
  static Result<Registration> open_output(const Dir& dir);

  // What it held when it was opened; nothing for a new one.
  const std::optional<PlaceMark>& before() const { return before_; }

  Status store(const Place& place, Mark mark);

 private:
  static Result<Registration> open_at(const Dir& dir, int at, const std::string& name, const std::string& shown);

  sys::Fd fd_;
  std::string shown_;
  std::optional<PlaceMark> before_;
};

struct ReaderState {
  std::string name;  // "" for the writer's own output
  PlaceMark place;   // index 0 where the file cannot be read: it holds everything
  bool is_reading = false;
};

// In the order of their names; the writer's own output comes first, where it holds anything.
Result<std::vector<ReaderState>> list_readers(const Dir& dir);

Status drop_reader(const Dir& dir, const std::string& name);
Status drop_output(const Dir& dir);

// The first segment that `readers` need: that in which the slowest one is, and the one before, for what was under way when a connection
// breaks is in the latter's hands and not in ours. Nothing where nobody holds anything; `who` says who it is.
std::optional<uint64_t> first_needed(const std::vector<ReaderState>& readers, std::string& who);

}  // namespace tfs::spool
