// A stream into a mirror: from bytes to whole frames, in sequence, joined to the position held, each applied exactly once.
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "lib/apply/applier.h"
#include "lib/format/deframer.h"
#include "lib/format/sequence.h"

namespace tfs::apply {

struct ReplayOptions {
  std::optional<format::Position> until;  // stop when this is applied
  bool assumes_equal = false;             // the user vouches that DIR is equal to the store where the stream begins
  bool dir_is_empty = false;
  bool waits_for_scan = false;  // what does not fit is no error: a scan of the whole is waited for
  bool only_checks = false;     // a scan compares, repairs nothing, and is the end
};

class Replay {
 public:
  // `applier` is null for a dry run, which tells each frame to `tell` instead, and leaves the state alone.
  Replay(State* state, Applier* applier, Scan* scan, const ReplayOptions& options,
         std::function<void(const format::Frame&, const format::Record&)> tell);

  // Where to read to, and how much was read.
  std::span<std::byte> space() { return deframer_.space(); }
  // Takes what was read. Errors: kMismatch, kCorrupt (nothing of the bad frame was applied), kSystem (the frame is under way and
  // is done again by the next resume(), or by the next run).
  Status filled(size_t size);
  // Goes on with a frame that failed with kSystem, and all behind it.
  Status resume();
  // At the end of input. kTruncated without END.
  Status finish() const;

  bool is_done() const { return is_done_; }  // END, or [until]
  // For those who ask: when the stream was heard, and what is being done.
  void note_heard();
  void note_stuck(const std::string& why);
  const format::Sequence& sequence() const { return sequence_; }

 private:
  Status drain();
  struct Item {
    format::Frame frame;
    format::Record record;
    uint64_t offset = 0;  // in the stream
  };
  void pull();
  const Item& next() const { return items_[1 - here_]; }
  Status take(const Item& item);
  Applier::Next next_of(const Item& item, bool again) const;
  Status join(const format::Hello& hello);
  Status attach(uint64_t first);
  Status run(const Item& item);
  void end_group();
  Status refuse(bool again);
  bool is_at_stop() const;
  Status need_scan(const Error& why);
  void ask_for_scan();
  void resolve_doubts();
  void note(const format::Frame& frame, const format::Record& record);
  void note_doubt(format::RecordType type, const format::Record& record);
  void note_source_time(const format::Time& time);
  Status take_outcome();

  State* state_;
  Applier* applier_;
  Scan* scan_;
  const ReplayOptions options_;
  const std::function<void(const format::Frame&, const format::Record&)> tell_;
  format::Deframer deframer_;
  format::Sequence sequence_;
  std::array<Item, 2> items_;  // the frame at hand, and the one behind it
  size_t here_ = 0;
  bool has_next_ = false;  // it has come; not outside of drain()
  Status next_is_wrong_;   // it has come, and is no frame
  bool is_stuck_ = false;  // the frame at hand met a kSystem error
  format::Hello hello_;    // flags only: its views end with its frame
  bool is_attached_ = false, is_done_ = false, is_checked_ = false;
  uint32_t group_size_ = 0;             // so many frames before this one have left their end to it
  bool is_waiting_ = false;             // for a scan: frames are passed over
  std::optional<format::Epoch> epoch_;  // of the last HELLO
  bool is_applied_ = false;             // the frame that is tried again; what follows from it is not done
  bool is_vouched_ = false;             // equal where the next frame begins, by the user's word
  uint64_t applied_ = 0;                // as in the state, or what a dry run counts
};

}  // namespace tfs::apply
