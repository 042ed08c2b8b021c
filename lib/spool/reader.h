// Gives out what a spool holds, from a place on, in stretches of whole frames that it has checked. Any number of readers, in any process,
// beside a writer or without one; none of them writes anything that another one sees.
//
// Epochs and losses are visible: a HELLO where the epoch changes, a GAP where segments went before they were read.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/base/page_bytes.h"
#include "lib/spool/frame_scan.h"
#include "lib/spool/hop.h"
#include "lib/spool/writer_lock.h"

namespace tfs::spool {

// Bytes to send.
struct Stretch {
  int file = -1;  // of a file, until the next call of next(); or none, and they are `made`
  uint64_t offset = 0, size = 0;
  ByteView made;
  Place place;             // where the reader is behind them
  std::string_view shown;  // the file, in messages
};

class Reader {
 public:
  // `dir` must outlive it. From the oldest frame, or the beginning of the oldest segment that is not before `index`.
  static Result<Reader> from_segment(const Dir& dir, uint64_t index = 0);
  // From the frame behind `position`; HELLO comes first in any case. kMismatch where the spool does not hold it.
  static Result<Reader> from_position(const Dir& dir, const format::Position& position);
  // From a place that a reader had; HELLO comes with the first frame. kMismatch where there is no such place (any more).
  static Result<Reader> from_place(const Dir& dir, const Place& place);

  // What comes next, at most about a megabyte or one frame; nothing where the spool ends for now. kCorrupt for damage.
  Result<std::optional<Stretch>> next();

  // Behind what next() gave.
  Place place() const { return here(); }
  const format::Position& position() const { return track_.position(); }
  bool has_ended() const { return track_.has_ended(); }  // the last frame that next() gave is END
  bool is_writer_running() const { return probe_.is_running(); }

 private:
  struct Open {
    SegmentName name;
    sys::Fd file;
    std::string shown;
    uint64_t hello_size = 0;         // 0: it was not seen yet
    uint64_t sent = 0;               // given out
    uint64_t good = 0, scanned = 0;  // whole frames are checked up to, bytes seen up to
    uint64_t limit = 0;              // where reading has to stop, as known last
    uint64_t committed = 0;          // what a writer has vouched for
    bool is_newest = false;          // the writer is in this segment
    bool is_over = false;            // a HELLO of another epoch: what follows is being moved
    bool was_looked_at_again = false;
    FrameScan scan;
  };

  explicit Reader(const Dir& dir);
  Status open_segment(const SegmentName& name);
  Status go_to(const SegmentEnd& end);
  Result<bool> open_next();
  Result<bool> leave_segment();
  Status find_limit();
  Result<std::optional<PlaceMark>> read_end();
  Status scan();
  Status put_on_disk() const;
  Result<bool> scan_block();
  Result<bool> take_frame();
  Status begin_segment();
  std::optional<Stretch> ready(const Place& before);
  Place here() const;

  const Dir* dir_;
  WriterProbe probe_;
  sys::Fd end_file_;
  std::optional<Open> open_;
  uint64_t index_ = 0;  // of the segment that is, or was, read
  Track track_;
  bool owes_hello_ = true, is_hello_urgent_ = true;
  bool has_gap_ = false;  // frames went before they were read, and that was not given out yet
  std::vector<std::byte> gap_;
  Place gap_place_;
  PageBytes block_;
  std::optional<Error> failure_;  // to be told once what is good in front of it was given out
};

}  // namespace tfs::spool
