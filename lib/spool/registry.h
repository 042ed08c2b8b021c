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

// kUsage where it is none.
Status check_reader_name(const std::string& name);

struct ReaderState {
  std::string name;  // "" for the writer's own output
  PlaceMark place;   // index 0 where the file cannot be read: it holds everything
  bool is_reading = false;
};

// In the order of their names; the writer's own output comes first, where it holds anything.
Result<std::vector<ReaderState>> list_readers(const Dir& dir);

Status drop_reader(const Dir& dir, const std::string& name);
Status drop_output(const Dir& dir);

// After a power cut: no place lies behind the end of what was left, where something else is going to be. Not of those that are reading.
Status pull_readers_back(const Dir& dir, const Place& end);

// What may be under way behind a reader when a connection breaks: more than what a pipe, a socket and a program behind them hold.
constexpr uint64_t kUnderWay = uint64_t{16} << 20;

// The number of the segment to begin with so that `bytes` in front of `place` come once more, as far as they are in `segments`; at
// least one segment back where the place is not that deep in its own.
uint64_t segment_before(const std::vector<Segment>& segments, const Place& place, uint64_t bytes);

// The first of `segments` that `readers` need, with `bytes` in front of the place of each. Nothing where nobody holds anything; `who`
// says who it is.
std::optional<uint64_t> first_needed(const std::vector<ReaderState>& readers, const std::vector<Segment>& segments,
                                     uint64_t bytes, std::string& who);

}  // namespace tfs::spool
