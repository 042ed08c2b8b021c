// The spool's writer: takes an input to the end of the newest segment, checks what came, and shows readers how far it is good.
//
// Input goes by Intake to the file "under way", unchecked and with frames cut anywhere, and is checked there; only what is checked and in
// its place is committed: written to "end", which is as far as readers go. What does not belong there (a HELLO that begins
// another epoch, frames that are held already, damage) is taken out again. Each such step makes the file as it shall be beside
// the old one and renames it, so that a kill at any instruction leaves a state from which a new writer, on the same pipe if need be,
// goes on without a byte lost or twice:
//
//   incoming   An input at its beginning: HELLO, and behind it frames that are held already are passed over, until the one that is due,
//              or a later one (then a GAP is put in front of it). Then it gets a segment's name.
//   segment    HELLO, and frames one behind the other. Full: a new one begins, with the same HELLO. Another HELLO, and what is behind
//              it does not go on here: from that place on it becomes "incoming" again.
//
// One thread. Rejected: reading into memory and writing whole frames from there. It costs the same two copies, and what is in memory is
// lost with the process.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/page_bytes.h"
#include "lib/spool/frame_scan.h"
#include "lib/spool/hop.h"
#include "lib/spool/intake.h"
#include "lib/spool/recovery.h"
#include "lib/spool/room.h"
#include "lib/spool/syncer.h"
#include "lib/spool/writer_lock.h"

namespace tfs::spool {

struct Settings {
  uint64_t segment_bytes = uint64_t{64} << 20;
  SyncPolicy sync;
  Limits limits;
};

// How an input may begin.
enum class Beginning {
  kHello,     // with HELLO
  kAnywhere,  // or, if it is a pipe, with the rest of what a killed writer had taken from it
};

class Writer {
 public:
  // Becomes the writer of `dir`, which must outlive it, and puts in order what a killed one left.
  static Result<std::unique_ptr<Writer>> open(const Dir& dir, const Settings& settings);

  // What the spool holds, for asking a source to go on. Nothing where it is empty.
  bool has_position() const { return !track_.position().epoch.is_none(); }
  const format::Position& position() const { return track_.position(); }
  // Where the next frame will be if it goes on here, and what a reader from now on has not missed.
  const PlaceMark& end() const { return committed_; }
  uint64_t frames_taken() const { return frames_taken_; }  // new ones, since open()

  enum class Step {
    kTook,
    kNothingThere,  // wait until the input is readable
    kTooLittle,     // the input's first bytes are not all there; come again in a few milliseconds
    kEnd,
  };
  // Decides how a new input goes on from what is held. Before the first step() of each.
  Result<Step> begin(Intake& in, Beginning beginning);
  // Takes what is there, up to a megabyte. kCorrupt, kMismatch where that does not fit: nothing of the bad frame is kept.
  Result<Step> step(Intake& in);
  // The input has ended: cuts off what is not whole. True if it ended with END.
  Result<bool> finish_input();

  Status trim_by_age() { return room_.trim_by_age(); }
  // The end of the writer: all is on disk as far as --sync goes.
  Status close();

 private:
  // The file that input goes to.
  struct Tail {
    sys::Fd file;
    std::string file_name;
    SegmentName name;  // of a segment
    bool is_incoming = false;
    uint64_t size = 0;     // of the file
    uint64_t good = 0;     // behind the last frame that is checked and in its place
    uint64_t scanned = 0;  // what `scan` has seen
    FrameScan scan;
  };
  // What an incoming HELLO has to do with what is held.
  enum class Kin { kNone, kNewest, kOlder };

  Writer(const Dir& dir, const Settings& settings, WriterLock lock);
  Status resume(Recovered found);
  Status finish_older();
  Result<uint64_t> first_number(const SegmentName& name) const;
  Status resume_incoming();

  size_t wanted() const;
  Status check_input(const Intake& in);
  Status check();
  Result<bool> place_frame(uint64_t end);
  Result<bool> append();
  Result<bool> hello_in_segment();
  Result<bool> hello_in_incoming(uint64_t end);
  Result<bool> join(uint64_t end);
  Result<bool> join_older(const Span& span, uint64_t end);
  Result<bool> pass_over(uint64_t end);
  Result<std::optional<uint64_t>> last_of_older(const format::Epoch& epoch) const;

  Status open_incoming();
  Status rewrite_incoming(const std::vector<ByteView>& heads, uint64_t from);
  Status leave_segment(const std::vector<ByteView>& heads, uint64_t from);
  Result<Tail> make_incoming(const std::vector<ByteView>& heads, uint64_t from);
  Status copy_from_tail(uint64_t from, int to);
  Status become_segment(uint64_t first);
  Status number_segment(uint64_t first);
  Status rotate();
  Status close_tail();
  Status remove_hollow();
  Status cut_tail();
  Status commit();
  Status touch();
  template <class F>
  Status with_room(F f);

  const Dir& dir_;
  Settings settings_;
  WriterLock lock_;
  Room room_;
  Syncer syncer_;
  sys::Fd end_file_;
  PlaceMark committed_;
  PageBytes buffer_;

  Tail tail_;
  uint64_t next_index_ = 1;
  std::string hollow_;            // a segment that has no frames, to be removed when another begins
  Track track_;                   // behind the last frame that is held
  std::vector<std::byte> hello_;  // of the segment or the incoming input
  bool is_rejoined_ = false;      // HELLO came again: the input may go on elsewhere
  bool has_input_ended_ = false;  // its last frame is END
  bool has_input_ = false;        // between begin() and finish_input()
  bool is_first_input_ = true;
  bool is_continued_ = false;  // the input began without HELLO, on what a killed writer left
  uint64_t frames_taken_ = 0, frames_at_begin_ = 0;

  // Of an incoming input
  Kin kin_ = Kin::kNone;
  uint64_t older_last_ = 0;  // of kOlder: the last number that is held of that epoch
};

}  // namespace tfs::spool
