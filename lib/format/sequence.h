// What must hold from frame to frame: HELLO first, numbers without holes, nothing behind END. Every reader's first check.
#pragma once

#include "lib/format/decode.h"

namespace tfs::format {

class Sequence {
 public:
  // Takes the next frame of a stream and its record.
  // kCorrupt where it cannot stand here. A HELLO again is fine: of the same epoch nothing changes, of another it starts anew.
  Status take(const Frame& frame, const Record& record);

  // At the end of input: kTruncated without END.
  Status finish() const;

  bool has_hello() const { return has_hello_; }
  bool has_ended() const { return has_ended_; }
  bool has_position() const { return has_position_; }     // a numbered frame was seen in this epoch
  const Position& position() const { return position_; }  // of the last numbered frame

 private:
  Position position_;
  bool has_hello_ = false, has_position_ = false, has_ended_ = false;
};

}  // namespace tfs::format
