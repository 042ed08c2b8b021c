// Where a stream is, for a router: the epoch, the number that is due, and whether END was. Does no I/O.
#pragma once

#include <cstdint>

#include "lib/format/frame.h"
#include "lib/format/position.h"

namespace tfs::spool {

// The numbers that a frame stands for: two different ones only for a GAP.
struct Span {
  uint64_t first = 0, last = 0;
};

// Of a frame that is no HELLO; `frame` holds its payload if it is a GAP. kCorrupt for numbers that cannot be.
Result<Span> span_of(const format::Frame& frame);

// The epoch of a HELLO. kMismatch where it is of another version than this program's.
Result<format::Epoch> epoch_of(const format::Frame& hello);

class Track {
 public:
  // At the beginning of an epoch. Any number may come first, unless the next one is known.
  void begin(const format::Epoch& epoch);
  void expect(uint64_t due) { position_.seq = due - 1, has_position_ = true; }

  // kCorrupt where the frame cannot stand here.
  Status take(const Span& span, format::RecordType type);

  const format::Position& position() const { return position_; }
  bool has_position() const { return has_position_; }  // a number is due
  bool has_ended() const { return has_ended_; }
  uint64_t due() const { return position_.seq + 1; }

 private:
  format::Position position_;
  bool has_position_ = false, has_ended_ = false;
};

}  // namespace tfs::spool
