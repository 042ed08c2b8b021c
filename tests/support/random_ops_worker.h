// One thread of random_ops: what it chooses from (names, descriptors, identities), and its judgement of each result.
// Used by its own thread only. Paths are relative to the working directory, which is DIR.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/random_ops_rng.h"
#include "tests/support/random_ops_settings.h"

namespace tfs::support {

// A name to operate on: a path from DIR, or one name below a directory held open (which may be gone by now).
struct Place {
  int dir = AT_FDCWD;
  std::string path;

  const char* c_str() const { return path.c_str(); }
  bool by_path() const { return dir == AT_FDCWD; }
  Place parent() const;
};

struct Handle {
  int fd = -1;
  int flags = 0;
  bool directory = false;
  std::string path;  // what it was opened as; for messages only

  bool opaque() const { return (flags & O_PATH) != 0; }
  bool readable() const { return !opaque() && (flags & O_ACCMODE) != O_WRONLY; }
  bool writable() const { return !opaque() && (flags & O_ACCMODE) != O_RDONLY; }
  bool appends() const { return (flags & O_APPEND) != 0; }
};

// What a descriptor must be able to do.
enum Need : unsigned {
  kAny = 0,
  kRead = 1,
  kWrite = 2,
  kFile = 4,
  kDirectory = 8,
  kOpaque = 16,
  kNoAppend = 32,
};

struct Mapping {
  char* data = nullptr;
  size_t size = 0;
  off_t offset = 0;
  int fd = -1;  // its own duplicate: says how far a store may go
};

// The last paths of one sort.
class Memory {
 public:
  bool empty() const { return paths_.empty(); }
  const std::string& any(Rng& rng) const { return paths_[rng.below(paths_.size())]; }
  void add(const Place& made) {
    if (!made.by_path()) return;
    if (paths_.size() < kSize) {
      paths_.push_back(made.path);
    } else {
      paths_[next_++ % kSize] = made.path;
    }
  }
  void drop(const Place& gone) {
    if (gone.by_path()) std::erase(paths_, gone.path);
  }

 private:
  static constexpr size_t kSize = 24;
  std::vector<std::string> paths_;
  size_t next_ = 0;
};

class Worker {
 public:
  Worker(const Settings& settings, Shared& shared, const Outside& outside, unsigned id);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Makes the directories that most paths go through, so that the first operations find something.
  void prepare();
  void run();

  // --- choices
  Rng& rng() { return rng_; }
  const Settings& settings() const { return settings_; }
  const Outside& outside() const { return outside_; }
  std::string name();
  // A path for something new, one that often leads to something, and one that often leads to a directory.
  std::string path() { return path_known(20); }
  std::string known_path() { return path_known(65); }
  std::string directory();
  Place place() { return place_at(path()); }
  Place place_for_directory() {
    std::string above = path_above();
    return place_at(above.append(1, directory_letter()));
  }
  Place known_place() { return place_at(known_path()); }
  mode_t mode();
  mode_t umask_now() const { return umask_; }
  size_t length();
  off_t offset(off_t size);
  // Successful operations name here what they made: later ones then find it more often than by chance.
  void remember(const Place& made) { recent_.add(made); }
  // Not beyond the given depth: each directory made below a remembered one would be deeper than those before.
  void remember_directory(const Place& made, int depth = 4) {
    if (std::count(made.path.begin(), made.path.end(), '/') < depth) directories_.add(made);
  }

  // --- judgement
  // What the operation is about; printed when it fails, and by --trace. Call it first: refusals are explained by it.
  void about(const Place& place, const Place& other = {}) {
    object_ = place;
    other_ = other;
    detail_[0] = 0;
    // The last guard of what lies outside DIR, where the process could not be confined to it.
    if (place.path.starts_with('/') || other.path.starts_with('/')) fail("an absolute path");
  }
  void detail(const char* format, ...) __attribute__((format(printf, 2, 3)));
  // True if the call worked. A refusal that the tree's state explains is counted; anything else ends the run.
  bool step(const char* call, long result);
  bool step_error(const char* call, int error);
  bool sync_step(const char* call, const std::function<long()>& sync);
  void refuse() { refused_ = true; }
  // Results are checked where nobody else changes the tree and nothing is refused for lack of rights.
  bool verifying() const { return verifying_; }
  void expect(bool holds, const char* what);

  // --- descriptors
  // One from the pool, or a path opened now. Nothing if that was refused. It stays valid to the end of the operation,
  // also when one more is taken.
  std::optional<Handle> take(unsigned need);
  // Puts an open descriptor into the pool; a FIFO or device is used a little and closed instead (false).
  bool keep(int fd, int flags, const std::string& path);
  void close_fd(int fd);
  void close_one();
  bool is_regular(int fd);
  off_t size_of(int fd);

  std::vector<Mapping>& mappings() { return mappings_; }
  void unmap(Mapping mapping);
  // Page-aligned memory of 4 MiB each: what is written, and what is read back.
  char* out() { return out_; }
  char* in() { return in_; }
  // The context for asynchronous I/O, made on first use; 0 if there is none.
  unsigned long aio_context();

 private:
  // Pieces are drawn in statements of their own: in one expression the compiler would choose the order.
  std::string path_known(unsigned percent);
  std::string path_above();
  char directory_letter() { return static_cast<char>('a' + rng_.below(3)); }
  Place place_at(std::string path);
  void run_one(uint64_t number);
  void become(unsigned user);
  void reopen_root();
  void take_snapshot();
  void settle();
  bool explained(int error);
  bool sticky_or_special(const Place& place);
  [[noreturn]] void fail(const std::string& what);
  std::string circumstances() const;
  std::optional<Handle> open_for(unsigned need);

  const Settings& settings_;
  Shared& shared_;
  const Outside& outside_;
  const unsigned id_;
  const bool verifying_;
  unsigned total_weight_ = 0;

  Rng rng_;
  uint64_t number_ = 0;
  const Op* op_ = nullptr;
  mode_t umask_ = 0;
  unsigned user_ = 0;
  bool refused_ = false;
  int refusal_ = 0;
  bool by_handle_ = false;  // the operation went through a directory held open
  Place object_;
  Place other_;
  char detail_[200] = "";

  Memory recent_;
  Memory directories_;
  std::vector<Handle> pool_;
  int spared_ = -1;
  std::vector<Mapping> mappings_;
  char* out_ = nullptr;
  char* in_ = nullptr;
  unsigned long aio_context_ = 0;

  Rng snapshot_rng_;
  uint64_t until_snapshot_ = 0;
  uint32_t snapshots_taken_ = 0;
};

}  // namespace tfs::support
