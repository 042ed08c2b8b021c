// The fan-out without any socket: one ring of bytes, one cursor per client. Standard input is read straight into the ring and
// each client is written straight from it, so nothing is copied or queued for a client, and memory is the ring's whatever
// their number. (Weighed and left: splicing the ring's pages into the sockets halves the copying, but a page may then not be
// written again until every client has read it, and the kernel does not say when that is.)
//
// It looks at headers and nothing else: checksums are the readers' business, unknown types pass. Clients see whole frames only.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "lib/base/page_bytes.h"
#include "lib/format/frame.h"

namespace tfs::fanout {

using Pieces = std::array<ByteView, 3>;  // to be sent in this order; some may be empty

struct Lag {
  uint64_t frames = 0;  // not yet wholly taken
  uint64_t bytes = 0;
  uint64_t ms = 0;  // how long the next byte has been waiting
};

class Hub {
 public:
  class Cursor;

  explicit Hub(size_t ring_bytes);  // at least 2 * format::kMaxFrame, a multiple of format::kAlignment
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // Where the next bytes of the stream go: empty while the slowest client keeps the ring full. With no client it never is.
  std::span<std::byte> space();
  size_t free_bytes();  // in all; space() may be less, where the ring wraps
  // `size` bytes of space() were filled, at `now_ms`. kCorrupt once the bytes are no stream: nothing can come after that.
  Status filled(size_t size, int64_t now_ms);
  // What the end of input at this point means: success behind END, else kTruncated.
  Status finish() const;

  uint64_t frames() const { return frames_; }      // that came in whole
  uint64_t bytes() const { return whole_; }        // of these
  uint64_t last_seq() const { return last_.seq; }  // of the last of them
  size_t ring_bytes() const { return size_; }

  // One for each cursor, in their order, in one walk over the ring.
  std::vector<Lag> lags(std::span<const Cursor* const> cursors, int64_t now_ms) const;

 private:
  // "All bytes before `end` that no earlier mark covers were there as whole frames at `ms`."
  struct Mark {
    uint64_t end;
    int64_t ms;
  };
  using Bytes = std::vector<std::byte>;

  size_t place(uint64_t offset) const;
  ByteView at(uint64_t from, uint64_t to, bool second_half) const;
  format::Header header_at(uint64_t offset) const;
  void take_frame(const format::Header& header);
  void note_arrival(int64_t now_ms);
  void release();
  bool begin_at_the_front();
  int64_t arrival_of(uint64_t offset) const;
  uint64_t first_offset_to_keep() const;

  // Offsets count bytes of the stream from its beginning:
  //   origin_ <= base_ <= every cursor <= whole_ <= end_ <= base_ + size_
  size_t size_;
  PageBytes ring_;
  uint64_t origin_ = 0;  // the byte at this offset would be at ring_[0]
  uint64_t base_ = 0;    // the first frame that is still held
  uint64_t whole_ = 0;   // end of the last whole frame
  uint64_t end_ = 0;     // end of what was read

  uint64_t frames_ = 0, base_frame_ = 0;  // whole frames that came in; those before base_
  format::Header last_;                   // of the last whole frame
  uint64_t last_at_ = 0;                  // where that begins
  std::shared_ptr<const Bytes> hello_;    // shared with clients that have not wholly got it while a new one came
  std::deque<Mark> marks_;
  int64_t mark_grain_ms_ = 1;
  std::vector<Cursor*> cursors_;
  friend class Cursor;
};

// One client's place: making it joins, destroying it leaves. The client gets the current HELLO, then the frames that become
// whole from now on; before the first HELLO it just gets the stream, and behind END it gets HELLO and that END.
class Hub::Cursor {
 public:
  explicit Cursor(Hub& hub, int64_t now_ms);
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  Pieces pending() const;                     // valid until the next call to the hub
  void taken(size_t size);                    // so many bytes of pending() went out
  uint64_t behind() const;                    // bytes of pending()
  uint64_t waiting_ms(int64_t now_ms) const;  // how long the first of them has been there; 0 where there is none

 private:
  uint64_t hello_left() const { return hello_ ? hello_->size() - hello_sent_ : 0; }

  Hub& hub_;
  uint64_t at_;
  int64_t joined_ms_;
  std::shared_ptr<const Bytes> hello_;  // until it is out
  size_t hello_sent_ = 0;
  friend class Hub;
};

}  // namespace tfs::fanout
