// The way out of the journal: a ring of whole frames, and who writes it to a descriptor.
//
// A request reserves room for its frame before it changes anything, so that nobody ever waits for the reader with locks held,
// and nobody who only reads waits at all: a request that finds no room is put aside (session.h) until there is some.
// Payloads are copied: tee or splice of FUSE's pages would let a later write change a frame that is already out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <thread>

#include "lib/base/bytes.h"
#include "lib/base/result.h"
#include "lib/journal/ring.h"
#include "lib/sys/fd.h"

namespace tfs::journal {

class Output {
 public:
  // The ring begins without a reader, or as another process has left it, and is written out by someone else.
  explicit Output(Ring& ring) : ring_(ring) {}
  ~Output();

  // Starts a thread that writes. `on_lost` is called from it with errno when the reader has gone: from then on frames are thrown away, for
  // programs on the mount go on.
  void write_here(std::function<void(int)> on_lost);

  // Waits until all is written or lost; true where it was lost. Then attach() gives a new reader. In the journal section.
  bool drain() { return ring_.drain(); }
  // The stream goes to `fd` from `position` on: what is appended next is its beginning, and note_begun() follows.
  void attach(sys::Fd fd, const format::Position& position) { ring_.attach(fd.release(), position); }
  // Another epoch for the same reader, which begins with the next frame. note_begun() follows.
  void begin_epoch(const format::Epoch& epoch) { ring_.begin_epoch(epoch); }
  void note_begun() { ring_.note_begun(); }

  // Room for a frame of at most `size` bytes: at once or not at all, or waiting. Pairs with release().
  bool reserve(size_t size);
  void wait_and_reserve(size_t size);
  void release(size_t size);

  // Appends one whole frame, behind which the stream is at `seq`; its size was reserved by the caller and stays reserved until
  // release(), so the room that two hold is counted twice for a moment, which only makes others wait a little earlier. In the journal
  // section alone.
  void append(std::span<const ByteView> parts, uint64_t seq) { ring_.append(parts, seq); }

  // Waits until all is written, then ends the writing. Success where the last reader took everything.
  Status finish();

  // The reader's descriptor, -1 where there is none. With nothing to write, for a successor.
  int descriptor() const { return ring_.descriptor(); }

  bool is_lost() const { return ring_.is_lost(); }
  size_t backlog() const { return ring_.used(); }  // bytes not written yet

 private:
  Ring& ring_;
  std::atomic<size_t> reserved_{0};
  std::thread writer_;
};

}  // namespace tfs::journal
