// What is on its way out: a ring of whole frames between the one that appends (Output, in the journal section) and the one that writes
// to the reader. The ring has no locks and nothing that belongs to a process, so that it may lie in memory that two processes share,
// and so that the one that appends may be killed at any instruction: what is in it are whole frames, always, and the number of the
// last of them.
//
// The writer is woken by each frame as long as there are few of them; where more than a handful come in a millisecond it looks every
// millisecond by itself, or when there is much to write, since a wake-up for each frame costs more than the frame (0.45 of the
// speed against 0.93).
//
// A large frame with nothing before it goes to the reader at once, from where it lies, as far as the reader's pipe has room: that saves
// a copy and a change of threads (1.3 times as many writes of 128 KiB on one processor). What does not fit waits in the ring.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "lib/base/bytes.h"
#include "lib/base/result.h"
#include "lib/format/limits.h"
#include "lib/format/position.h"

namespace tfs::journal {

class Ring {
 public:
  static constexpr size_t kCapacity = size_t{8} << 20;
  static_assert(kCapacity >= 4 * format::kMaxFrame);
  // What is for requests: HELLO of a new epoch finds room always.
  static constexpr size_t kForRequests = kCapacity - 65536;

  // --- for the one that appends

  // The one that writes lives in this process: large frames need not pass through the ring.
  void allow_direct() { may_write_directly_ = true; }

  // A whole frame, for which there is room. `seq` is the stream's position behind it. Nothing where nobody reads.
  void append(std::span<const ByteView> parts, uint64_t seq);

  // The stream goes to `fd`, which is the ring's from now on, and begins behind `position` with the frame appended next. The ring is
  // empty, or nobody reads.
  void attach(int fd, const format::Position& position);
  // Behind that frame. Where it is missing, the reader has no beginning.
  void note_begun() { has_begun_ = true; }

  // Waits until all is written or lost; true where it was lost.
  bool drain();
  // The writer ends when all is written. Returns when it has ended; the error where the last reader did not take everything.
  Status finish();

  size_t used() const { return is_lost() ? 0 : static_cast<size_t>(appended_.load() - written_.load()); }
  bool is_lost() const { return is_lost_.load(); }
  int descriptor() const { return is_lost() ? -1 : fd_.load(); }
  Error why_lost() const { return system_error("journal.output.write", lost_errno_, "unable to write the stream"); }

  // Changes when there may be more room.
  uint32_t room_event() const { return room_.load(); }
  void wait_for_room(uint32_t seen);
  void tell_of_room();

  // For the successor of one that was killed. Where the stream stands, and whether it has begun.
  format::Position position() const;
  bool has_begun() const { return has_begun_; }

  // The one that wrote is gone, and another one begins to. Where it was in the midst of it, nobody knows how far: the reader is lost.
  void change_writer();

  // Begins another epoch for the same reader, whatever is still to be written. note_begun() follows.
  void begin_epoch(const format::Epoch& epoch);

  // --- for the one that writes: until finish() is asked for. `on_lost` is called with errno when the reader has gone. Takes no locks and
  // no memory, so that the process can be cloned at any time.
  void write_out(const std::function<void(int)>& on_lost);

 private:
  enum WriterState : uint32_t { kAwake, kSleeps, kDozes };

  std::byte* at(uint64_t offset) { return bytes_ + (offset - origin_.load()) % kCapacity; }
  void put(uint64_t offset, ByteView bytes);
  size_t write_directly(std::span<const ByteView> parts);
  size_t write_now(std::span<const ByteView> parts);
  void write_all(const std::function<void(int)>& on_lost);
  void lose(int error);
  void sleep();
  void doze();

  // Bytes, ever; between them lies what is to be written. The ring begins at origin_, which is moved while it is empty.
  std::atomic<uint64_t> appended_{0}, written_{0}, origin_{0};
  // seq_ is that behind appended_, but for the moment in which next_end_ is appended_ already: then it is next_seq_.
  std::atomic<uint64_t> seq_{0}, next_end_{0}, next_seq_{0};
  format::Epoch epoch_;
  std::atomic<uint64_t> frames_{0};
  std::atomic<int> fd_{-1}, lost_errno_{0};
  std::atomic<bool> has_begun_{false}, is_lost_{true}, has_been_read_{false}, is_writing_{false}, is_ending_{false},
      has_ended_{false}, may_write_directly_{false};
  // Words for futex(2): what the writer does, and a count.
  std::atomic<uint32_t> writer_{kAwake}, room_{0}, room_waiters_{0};
  alignas(4096) std::byte bytes_[kCapacity];
};

}  // namespace tfs::journal
