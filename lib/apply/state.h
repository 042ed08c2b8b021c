// What a mirror remembers about itself, in a directory beside it on the same filesystem (or inside it under kInnerName where
// it is itself a mount point): how far it is, what was under way, and the objects that have no name.
//
// The state file is made in full size and mapped: storing a position is one write to memory, which a full disk cannot refuse and
// a kill at any instruction leaves whole. Before an operation [pending] says which frame is under way, afterwards [applied];
// a restart that finds them apart does that frame again, and [moved_ino] tells whether a rename had already happened.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "lib/format/position.h"
#include "lib/sys/fd.h"
#include "lib/sys/lock_file.h"

namespace tfs::apply {

constexpr char kInnerName[] = ".tfs-mirror";  // never carried by a source

// The layout of the file. Native byte order: it does not leave the machine.
struct StateBlock {
  char magic[8];
  uint32_t version;
  std::atomic<uint32_t> is_valid;  // the mirror was equal to its source at [applied]
  uint8_t epoch[16];
  std::atomic<uint64_t> applied;
  std::atomic<uint64_t> pending;
  std::atomic<uint64_t> moved_ino;  // of the object that the pending RENAME is about, on this filesystem
  std::atomic<uint64_t> lifted_ino;  // of an object whose inode flags were taken off for a moment
  std::atomic<uint32_t> lifted_flags;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && sizeof(std::atomic<uint64_t>) == 8);

class State {
 public:
  // Opens the state of the mirror `dir` (open at `dir_fd`), made if there is none. Locked: a second one is refused.
  static Result<State> open(const std::string& dir, int dir_fd);
  // Only looks. kSystem/ENOENT where there is none.
  static Result<State> inspect(const std::string& dir, int dir_fd);

  bool has_position() const { return block_->is_valid != 0; }
  format::Position position() const;
  void set_position(const format::Position& position);  // and valid
  // As far as this, but not equal to the source until a scan has said so.
  void set_unproved(const format::Position& position);
  void invalidate() { block_->is_valid = 0; }

  // Brackets one frame.
  void begin(uint64_t seq);
  void note_moved(uint64_t ino) { block_->moved_ino = ino; }
  void finish(uint64_t seq) { block_->applied.store(seq, std::memory_order_release); }
  // The frame under way changed nothing.
  void abandon() { block_->pending.store(block_->applied); }
  // Whether that frame may have been done before, in part or whole.
  bool is_pending(uint64_t seq) const { return block_->pending == seq && block_->applied < seq; }
  uint64_t moved_ino() const { return block_->moved_ino; }

  void note_lifted(uint64_t ino, uint32_t flags);
  uint64_t lifted_ino() const { return block_->lifted_ino; }
  uint32_t lifted_flags() const { return block_->lifted_flags; }

  // The directory of nameless objects, one under each id.
  int held_fd() const { return held_.get(); }
  static std::string held_name(uint64_t id) { return std::to_string(id); }
  int directory_fd() const { return directory_.get(); }
  const std::string& path() const { return path_; }

 private:
  State() = default;
  struct Unmap {
    void operator()(StateBlock* block) const;
  };
  static Result<State> open_directory(const std::string& dir, int dir_fd, bool makes);
  Status map(bool makes);

  std::string path_;
  sys::Fd directory_, held_;
  std::unique_ptr<sys::LockFile> lock_;
  std::unique_ptr<StateBlock, Unmap> block_;
};

}  // namespace tfs::apply
