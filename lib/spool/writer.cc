#include "lib/spool/writer.h"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "lib/base/escape.h"
#include "lib/format/encode.h"
#include "lib/spool/file_io.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::spool {
namespace {

constexpr size_t kTake = size_t{1} << 20;         // at once: what the pipe holds
constexpr uint64_t kMaxHeld = uint64_t{8} << 20;  // of frames passed over that may lie in "incoming"
constexpr size_t kHelloHead = format::kHeaderSize + format::kMagic.size();

// Whether an input that begins with these bytes begins with a HELLO, as far as so few bytes tell.
bool begins_with_hello(ByteView bytes) {
  std::array<std::byte, kHelloHead> head{};
  std::copy(bytes.begin(), bytes.end(), head.begin());
  if (bytes.size() < 6 || format::load_header(head.data()).type != format::RecordType::kHello) return false;
  return bytes.size() < kHelloHead || as_text(bytes.subspan(format::kHeaderSize)) == format::kMagic;
}

std::vector<std::byte> make_gap(uint64_t first, uint64_t last) {
  sys::WallTime now = sys::wall_time();
  std::vector<std::byte> frame;
  format::append_frame({last, 0, 0}, format::Gap{first, {now.sec, now.nsec}}, frame);
  return frame;
}

std::string frames_text(uint64_t first, uint64_t last) {
  return first == last ? "frame " + std::to_string(first) : "frames " + std::to_string(first) + " to " + std::to_string(last);
}

}  // namespace

// --- an input

Result<Writer::Step> Writer::begin(Intake& in, Beginning beginning) {
  is_continued_ = has_input_ended_ = false;
  frames_at_begin_ = frames_taken_;
  if (beginning == Beginning::kAnywhere && tail_.file.is_open() && in.is_pipe()) {
    std::array<std::byte, kHelloHead> head;
    std::optional<size_t> size = TFS_TRY(in.peek(head));
    if (!size) return Step::kTooLittle;
    is_continued_ = *size > 0 && !begins_with_hello(ByteView(head).first(*size));
  }
  has_input_ = true;
  if (is_continued_) return Step::kTook;
  is_rejoined_ = false;
  if (std::exchange(is_first_input_, false) && tail_.size > tail_.good && !tail_.is_incoming) {
    sys::say(dir_.shown(tail_.file_name) + ": cut off " + std::to_string(tail_.size - tail_.good) +
             " bytes of a frame that broke off behind " + to_text(position()));
  }
  TFS_TRY(cut_tail());
  TFS_TRY(close_tail());
  TFS_TRY(open_incoming());
  return Step::kTook;
}

Result<Writer::Step> Writer::step(Intake& in) {
  bool is_full_segment = !tail_.is_incoming && tail_.good == tail_.size && tail_.good >= settings_.segment_bytes;
  if (is_full_segment && !track_.has_ended()) TFS_TRY(rotate());
  Result<std::optional<size_t>> taken = in.take(tail_.file.get(), tail_.size, wanted());
  if (!taken && is_full(taken.error())) {
    TFS_TRY(room_.after_full(
        system_error("spool.writer.take", taken.error().sys_errno, "unable to write to " + escape(dir_.path()))));
    return Step::kTook;
  }
  if (!taken) return std::move(taken).error();
  if (!*taken) return Step::kNothingThere;
  if (**taken == 0) return Step::kEnd;
  room_.went_on();
  tail_.size += **taken;
  TFS_TRY(check_input(in));
  TFS_TRY(commit());
  return Step::kTook;
}

// HELLO alone; then up to the end of the segment, and to that of the frame which is under way there.
size_t Writer::wanted() const {
  bool is_at_hello = tail_.is_incoming && tail_.good == 0;
  if (!is_at_hello && tail_.size < settings_.segment_bytes)
    return std::min<uint64_t>(kTake, settings_.segment_bytes - tail_.size);
  return tail_.is_incoming && !is_at_hello ? kTake : tail_.scan.missing();
}

Status Writer::check_input(const Intake& in) {
  Status status = check();
  if (status || status.error().kind == Kind::kSystem) return status;
  Error why = status.error();
  uint64_t left = tail_.size - tail_.good;
  if (is_continued_ && frames_taken_ == frames_at_begin_) {
    why.detail = "the input does not begin with HELLO, and does not go on where the spool ends (" + to_text(position()) + ")";
  } else {
    why.detail = "the input is refused at byte " + std::to_string(in.taken() - std::min(in.taken(), left)) + ": " + why.detail;
  }
  TFS_TRY(cut_tail());
  TFS_TRY(commit());
  return why;
}

Result<bool> Writer::finish_input() {
  bool is_whole = tail_.size == tail_.good;
  has_input_ = false;
  TFS_TRY(cut_tail());
  TFS_TRY(commit());
  return is_whole && has_input_ended_;
}

// --- frame by frame

// All that lies unchecked behind what is good.
Status Writer::check() {
  while (tail_.scanned < tail_.size) {
    size_t size = std::min<uint64_t>(buffer_.size(), tail_.size - tail_.scanned);
    size_t there = TFS_TRY(read_at("spool.writer.check", tail_.file.get(), dir_.shown(tail_.file_name), tail_.scanned,
                                   std::span(buffer_).first(size)));
    if (there < size)
      return Error{Kind::kSystem, 0, "spool.writer.cut", dir_.shown(tail_.file_name) + " was cut by somebody else"};
    ByteView rest = ByteView(buffer_).first(size);
    bool is_same_file = true;
    while (is_same_file && !rest.empty() && TFS_TRY(tail_.scan.take(rest))) {
      uint64_t end = tail_.scanned + size - rest.size();
      is_same_file = TFS_TRY(place_frame(end));
      if (is_same_file) tail_.good = end;
    }
    if (is_same_file) tail_.scanned += size;
  }
  return {};
}

// The frame that is whole now and ends at `end`. False where the tail is another file now, to be checked from its beginning.
Result<bool> Writer::place_frame(uint64_t end) {
  bool is_hello = tail_.scan.header().type == format::RecordType::kHello;
  if (tail_.is_incoming) return is_hello ? hello_in_incoming(end) : join(end);
  return is_hello ? hello_in_segment() : append();
}

Result<bool> Writer::append() {
  const format::Frame frame = tail_.scan.kept();
  Span span = TFS_TRY(span_of(frame));
  if (is_rejoined_ && track_.has_position() && (track_.has_ended() || span.first != track_.due())) {
    TFS_TRY(leave_segment({hello_}, tail_.good));
    return false;
  }
  TFS_TRY(track_.take(span, frame.header.type));
  is_rejoined_ = false;
  has_input_ended_ = track_.has_ended();
  frames_taken_++;
  if (tail_.name.first == 0) TFS_TRY(number_segment(span.first));
  return true;
}

Result<bool> Writer::hello_in_segment() {
  format::Epoch epoch = TFS_TRY(epoch_of(tail_.scan.kept()));
  if (epoch == tail_.name.epoch) {
    is_rejoined_ = tail_.good > 0;
    has_input_ended_ = track_.has_ended();
    return true;
  }
  TFS_TRY(leave_segment({}, tail_.good));
  return false;
}

Result<bool> Writer::hello_in_incoming(uint64_t end) {
  format::Epoch epoch = TFS_TRY(epoch_of(tail_.scan.kept()));
  if (tail_.good > 0) {  // all that was in front of it was held already
    TFS_TRY(rewrite_incoming({}, tail_.good));
    return false;
  }
  ByteView bytes = tail_.scan.kept().bytes;
  hello_.assign(bytes.begin(), bytes.end());
  tail_.name.epoch = epoch;
  kin_ = Kin::kNewest;
  has_input_ended_ = track_.has_ended();
  if (has_position() && epoch == track_.position().epoch) return true;
  has_input_ended_ = false;
  std::optional<uint64_t> last = TFS_TRY(last_of_older(epoch));
  kin_ = last ? Kin::kOlder : Kin::kNone;
  older_last_ = last.value_or(0);
  if (last) return true;
  track_.begin(epoch);
  tail_.good = end;
  TFS_TRY(become_segment(0));
  return true;
}

// A frame behind HELLO, of an epoch that the spool holds: where does the input go on?
Result<bool> Writer::join(uint64_t end) {
  const format::Frame frame = tail_.scan.kept();
  if (tail_.good == 0) return corrupt("the stream does not begin with HELLO");
  Span span = TFS_TRY(span_of(frame));
  if (kin_ == Kin::kOlder) return join_older(span, end);
  uint64_t due = track_.has_position() ? track_.due() : span.first;
  if (span.last < due) {
    has_input_ended_ = frame.header.type == format::RecordType::kEnd;
    return pass_over(end);
  }
  if (track_.has_ended()) return corrupt("frame behind END");
  if (span.first == due && tail_.good == hello_.size()) {
    TFS_TRY(track_.take(span, frame.header.type));
    has_input_ended_ = track_.has_ended();
    frames_taken_++;
    tail_.good = end;
    TFS_TRY(become_segment(span.first));
    return true;
  }
  // The files are made so that the frame that is due comes right behind HELLO, and looked at once more.
  if (span.first == due) {
    TFS_TRY(rewrite_incoming({hello_}, tail_.good));
  } else if (span.first > due) {
    sys::warn("the source lost " + frames_text(due, span.first - 1) + " of " + to_text(track_.position().epoch) +
              ": the input goes on behind them");
    TFS_TRY(rewrite_incoming({hello_, make_gap(due, span.first - 1)}, tail_.good));
  } else {  // a GAP, of which the spool holds the first part
    TFS_TRY(rewrite_incoming({hello_, make_gap(due, span.last)}, end));
  }
  return false;
}

Result<bool> Writer::join_older(const Span& span, uint64_t end) {
  if (span.last <= older_last_) {
    has_input_ended_ = tail_.scan.header().type == format::RecordType::kEnd;
    return pass_over(end);
  }
  return mismatch("frame " + std::to_string(span.last) + " of the epoch " + to_text(tail_.name.epoch) +
                  ", behind which the spool already went on with " + to_text(track_.position().epoch));
}

// A frame that is held already stays in "incoming" until there is too much of that.
Result<bool> Writer::pass_over(uint64_t end) {
  if (end < kMaxHeld) return true;
  TFS_TRY(rewrite_incoming({hello_}, end));
  return false;
}

// The last number that is held of an epoch that is not the newest; nothing where that epoch is not held.
Result<std::optional<uint64_t>> Writer::last_of_older(const format::Epoch& epoch) const {
  std::vector<Segment> segments = TFS_TRY(dir_.segments());
  auto found = std::find_if(segments.rbegin(), segments.rend(), [&epoch](const Segment& s) { return s.name.epoch == epoch; });
  if (found == segments.rend()) return std::optional<uint64_t>();
  std::string name = to_text(found->name);
  sys::Fd fd = TFS_TRY(dir_.open_file("spool.writer.older", name, O_RDONLY));
  SegmentEnd end = TFS_TRY(end_of_segment(fd.get(), dir_.shown(name), epoch, found->name.first, found->size));
  return std::optional<uint64_t>(end.track.position().seq);
}

}  // namespace tfs::spool
