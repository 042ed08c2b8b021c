// What a mirror remembers about itself, in a directory beside it on the same filesystem (or inside it under kInnerName where
// it is itself a mount point): how far it is, what was under way, how sure that is, and the objects that have no name.
//
// The state file is made in full size and mapped: storing a position is one write to memory, which a full disk cannot refuse and
// a kill at any instruction leaves whole. Before an operation [pending] says which frame is under way, afterwards [applied];
// a restart that finds them apart does that frame again, and [moved_ino] tells whether a rename had already happened; what the kernel
// may have changed with it is in [moved_mtime].
//
// A kill leaves the files as they were; a power cut does not. [boot_id] tells the two apart: behind another start of the machine
// only what was synced is sure, so the position goes back to [synced], and whatever the frames behind it touch is in doubt until a
// scan has shown it (doubts.h), unless the last program had closed its state, with all of it on disk. The kernel may write the file
// before what it speaks of, so good news goes into it only once all else is on disk, and bad news is put on disk at once.
//
// All that is about one directory, [root], and not about another that has its name now: of that nothing is known.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "lib/format/position.h"
#include "lib/format/records.h"
#include "lib/sys/fd.h"
#include "lib/sys/file_identity.h"
#include "lib/sys/lock_file.h"

namespace tfs::apply {

constexpr char kInnerName[] = ".tfs-mirror";  // never carried by a source

// How the mirror stands to its source.
enum class Standing : uint32_t {
  kNone = 0,      // it has no position: nothing is known
  kExact = 1,     // equal to the source at [applied]
  kDoubtful = 2,  // it follows from [applied], but what [doubt_from] tells is in doubt until a scan has shown it
};

// What the running program is at, for those who ask (tfs_mirror --status).
enum class Activity : uint32_t { kNone = 0, kFollowing = 1, kScanning = 2, kNeedsScan = 3, kStuck = 4 };

// How many objects can be changed for a moment at once: a rename meets two that are in its way, and an ordinary user may have to open
// many directories.
constexpr size_t kMaxLifted = 200;

// The layout of the file. Native byte order: it does not leave the machine.
struct StateBlock {
  char magic[8];
  uint32_t version;
  std::atomic<Standing> standing;
  uint8_t epoch[16];
  std::atomic<uint64_t> applied;
  std::atomic<uint64_t> pending;
  std::atomic<uint64_t> moved_ino;  // of the object that the pending RENAME is about, on this filesystem
  struct Lifted {
    std::atomic<uint64_t> ino;    // of an object whose inode flags or mode were changed for a moment; 0: none
    std::atomic<uint32_t> flags;  // what they were; kLiftedMode and the mode, where it is that
  } lifted[kMaxLifted];
  std::atomic<uint32_t> has_opened;              // modes were changed for a moment that may be on disk so: Way
  std::atomic<uint32_t> is_mending;              // an exact mirror's file has lost its mtime for a moment
  std::atomic<uint32_t> is_closed;               // the program ended with all of it on disk
  char boot_id[40];                              // of the machine's start in which it was written, as text
  std::atomic<uint64_t> mount, mount_namespace;  // the mount in which it was written; 0: the kernel does not say
  std::atomic<uint64_t> synced;                  // everything up to this frame is on disk
  std::atomic<uint64_t> doubt_from;              // kDoubtful: what frames behind this one touch; kDoubtAll: anything

  // For those who ask; they prove nothing.
  std::atomic<int64_t> heard_at_ms;     // when bytes of the stream last came, since 1970
  std::atomic<int64_t> source_time_ms;  // the latest time that the stream told
  std::atomic<uint64_t> frames, bytes;  // applied since the program was started
  std::atomic<uint64_t> waiting_bytes;  // read or readable, and not applied yet
  std::atomic<Activity> activity;
  std::atomic<uint32_t> pid;
  std::atomic<uint64_t> open_wants;
  char trouble[256];  // kStuck: why; text that may be torn

  sys::FileIdentity root;  // the mirror; of which nothing is known where an older program has written this

  uint64_t mtimes_of;                         // [moved_ino], or they are those of another rename
  format::Time moved_mtime, exchanged_mtime;  // of that object and of what it changes places with, before the RENAME
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && sizeof(std::atomic<uint64_t>) == 8);

class State {
 public:
  static constexpr uint64_t kDoubtAll = UINT64_MAX;

  // Opens the state of the mirror `dir` (open at `dir_fd`), made if there is none. Locked: a second one is refused.
  static Result<State> open(const std::string& dir, int dir_fd);
  // Only looks. kSystem/ENOENT where there is none, or that of another directory.
  static Result<State> inspect(const std::string& dir, int dir_fd);

  // Whether it can go on at position(): exact or not.
  bool has_position() const { return block_->standing != Standing::kNone; }
  bool is_exact() const { return block_->standing == Standing::kExact; }
  bool is_doubtful() const { return block_->standing == Standing::kDoubtful; }
  uint64_t doubt_from() const { return block_->doubt_from; }
  format::Position position() const;
  // At `position`, and equal to the source there: puts all of it on disk first.
  Status set_exact(const format::Position& position);
  // The same where there is nothing yet to be lost.
  void begin_empty(const format::Position& position);

  // Where it is exact: brackets what a scan does to a file without a frame that would be done again after a kill.
  void note_scan(bool is_running) { is_scanning_ = is_running; }
  void begin_mending() { block_->is_mending = is_scanning_ && is_exact(); }
  void end_mending() { block_->is_mending = 0; }

  // Where a scan could not put back what it had changed for a moment: the mirror is in doubt, and needs another one.
  void note_loss() {
    has_loss_ = true;
    doubt_all();
  }
  bool has_loss() const { return has_loss_; }
  void forget_loss() { has_loss_ = false; }

  // These go to the disk with the next write_bad_news().
  void doubt_all();  // something was found to differ: no more exact, where it was
  // As far as this, and no way to go on from there: a scan is under way.
  void set_unproved(const format::Position& position);
  void invalidate();
  Status write_bad_news();

  // Brackets one frame, or several that are done again together: begin() for each, finish() with the last.
  void begin(uint64_t seq);
  void note_moved(uint64_t ino, const format::Time& mtime, const format::Time& exchanged_mtime) {
    block_->moved_mtime = mtime;
    block_->exchanged_mtime = exchanged_mtime;
    block_->mtimes_of = ino;
    block_->moved_ino.store(ino, std::memory_order_release);
  }
  void finish(uint64_t seq) { block_->applied.store(seq, std::memory_order_release); }
  // The frame under way changed nothing.
  void abandon() { block_->pending.store(block_->applied); }
  // Whether that frame may have been done before, in part or whole.
  bool is_pending(uint64_t seq) const { return seq <= block_->pending && block_->applied < seq; }
  uint64_t moved_ino() const { return block_->moved_ino; }
  bool knows_mtimes() const { return block_->mtimes_of == block_->moved_ino; }
  const format::Time& moved_mtime() const { return block_->moved_mtime; }
  const format::Time& exchanged_mtime() const { return block_->exchanged_mtime; }

  static constexpr uint32_t kLiftedMode = uint32_t{1} << 31;  // no inode flag that is carried has this bit
  // False where there is no room for more.
  bool note_lifted(uint64_t ino, uint32_t flags);
  // The same for what no frame names: behind a power cut all is in doubt, since nothing tells whether it is on disk.
  Status note_opened(uint64_t ino, uint32_t flags);
  bool has_lifted() const { return lifted_slots_ != 0; }
  void clear_lifted(uint64_t ino);
  void clear_all_lifted();
  // What the object had before, where it is noted.
  std::optional<uint32_t> lifted(uint64_t ino) const;

  // Puts all that has been applied on disk, then notes how far that was: nothing where it was so already. Any thread may call it.
  Status sync();
  // The same, and the next program need not ask whether the machine was started anew.
  Status close();

  // The directory of nameless objects, one under each id.
  int held_fd() const { return held_.get(); }
  static std::string held_name(uint64_t id) { return std::to_string(id); }
  int directory_fd() const { return directory_.get(); }
  const std::string& path() const { return path_; }

  StateBlock& block() { return *block_; }
  const StateBlock& block() const { return *block_; }
  // For signal handlers: where a store to the state waits for room on the disk, the program ends instead.
  static void give_up();
  // Whether a program works on the mirror now.
  bool is_in_use() const;

 private:
  State() = default;
  struct Unmap {
    void operator()(StateBlock* block) const;
  };
  static Result<State> open_directory(const std::string& dir, int dir_fd, bool makes);
  Status map(bool makes);
  Status begin_run(int dir_fd);
  void forget_all();
  Status write_out();
  Status put_on_disk();

  std::string path_;
  sys::Fd directory_, held_, file_;
  std::unique_ptr<sys::LockFile> lock_;
  std::unique_ptr<StateBlock, Unmap> block_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  // [synced], and of what it counts the frames
  uint64_t counts_ = 0;                                                 // how often that has begun anew
  bool has_bad_news_ = false, is_scanning_ = false, has_loss_ = false;
  uint64_t openings_ = 0;    // how often a mode was noted by note_opened()
  size_t lifted_slots_ = 0;  // behind these all are free
};

}  // namespace tfs::apply
