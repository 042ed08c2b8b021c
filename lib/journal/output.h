// The way out of the journal: a ring of whole frames and a thread that writes it to a descriptor.
//
// A request reserves room for its frame before it changes anything, so that nobody ever waits for the reader with locks held,
// and nobody who only reads waits at all: a request that finds no room is put aside (session.h) until there is some.
// The writer is woken by each frame as long as there are few of them; where more than a handful come in a millisecond it looks every
// millisecond by itself, or when there is much to write, since a wake-up for each frame costs more than the frame (0.45 of the
// speed against 0.93).
// Payloads are copied: tee or splice of FUSE's pages would let a later write change a frame that is already out.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "lib/base/bytes.h"
#include "lib/base/result.h"
#include "lib/format/limits.h"
#include "lib/sys/fd.h"

namespace tfs::journal {

class Output {
 public:
  static constexpr size_t kCapacity = size_t{8} << 20;
  static_assert(kCapacity >= 4 * format::kMaxFrame);

  // `on_lost` is called, from the writer, when the reader has gone: from then on frames are thrown away, for programs on the
  // mount go on. Begins without a reader.
  explicit Output(std::function<void(const Error&)> on_lost);
  ~Output();

  // Waits until all is written or lost; true where it was lost. Then attach() gives a new reader. In the journal section.
  bool drain();
  void attach(sys::Fd fd);

  // Room for a frame of at most `size` bytes: at once or not at all, or waiting. Pairs with release().
  bool reserve(size_t size);
  void wait_and_reserve(size_t size);
  void release(size_t size);

  // Appends one whole frame; its size was reserved by the caller and stays reserved until release(), so the room that two
  // hold is counted twice for a moment, which only makes others wait a little earlier. In the journal section alone.
  void append(std::span<const ByteView> parts);

  // Waits until all is written, then ends the thread. Success where the last reader took everything.
  Status finish();

  // The reader's descriptor, -1 where there is none. With nothing to write, for a successor.
  int descriptor() const;

  bool is_lost() const;
  size_t backlog() const;  // bytes not written yet

 private:
  void run();
  void put(ByteView bytes);

  sys::Fd fd_;
  const std::function<void(const Error&)> on_lost_;
  std::unique_ptr<std::byte[]> ring_;
  mutable std::mutex mutex_;
  std::condition_variable room_, work_;
  size_t begin_ = 0, used_ = 0, reserved_ = 0;  // used: appended and not yet written
  uint64_t appended_ = 0;                       // frames
  bool writer_sleeps_ = false, is_writing_ = false, is_lost_ = true, is_ending_ = false;
  Status result_ = Error{Kind::kSystem, 0, "journal.output.none", "nobody has read the stream"};
  std::thread writer_;
};

}  // namespace tfs::journal
