#include "lib/spool/reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "lib/format/encode.h"
#include "lib/spool/file_io.h"
#include "lib/sys/io.h"

namespace tfs::spool {
namespace {

constexpr size_t kBlock = size_t{128} << 10;      // looked at at once: it stays in the cache
constexpr uint64_t kStretch = uint64_t{1} << 20;  // what a pipe takes
constexpr int kTries = 100;                       // a segment gets another name at most once, others go one by one

}  // namespace

Reader::Reader(const Dir& dir) : dir_(&dir), probe_(dir), block_(kBlock) {}

Result<std::optional<Stretch>> Reader::next() {
  while (true) {
    if (!open_ && !TFS_TRY(open_next())) return std::optional<Stretch>();
    Place before = here();
    if (!failure_) TFS_TRY(scan());
    std::optional<Stretch> stretch = ready(before);
    if (stretch) return stretch;
    if (failure_) return *std::exchange(failure_, {});
    if (open_->is_newest || !TFS_TRY(leave_segment())) return std::optional<Stretch>();
  }
}

// HELLO where it is due, then a GAP where there is one, then what scan() found good.
std::optional<Stretch> Reader::ready(const Place& before) {
  Open& o = *open_;
  if (o.hello_size == 0) return {};
  o.sent = std::max(o.sent, o.hello_size);
  bool has_more = o.good > o.sent;
  if (owes_hello_ && (has_more || has_gap_ || is_hello_urgent_)) {
    owes_hello_ = is_hello_urgent_ = false;
    return Stretch{o.file.get(), 0, o.hello_size, {}, before, o.shown};
  }
  if (std::exchange(has_gap_, false)) return Stretch{-1, 0, 0, gap_, gap_place_, {}};
  if (!has_more) return {};
  o.was_looked_at_again = false;
  uint64_t from = std::exchange(o.sent, o.good);
  return Stretch{o.file.get(), from, o.good - from, {}, here(), o.shown};
}

Place Reader::here() const { return {index_, open_ ? open_->good : 0, track_.position()}; }

// --- inside a segment

// On to whole frames of about a megabyte, or as far as the segment may be read.
Status Reader::scan() {
  while (open_->good - std::min(open_->good, open_->sent) < kStretch && !open_->is_over) {
    Result<bool> goes_on = scan_block();
    if (!goes_on && open_->good > open_->sent) failure_ = std::move(goes_on).error();
    else if (TFS_TRY(std::move(goes_on))) continue;
    // Here it ends for now. What there is of a frame is looked at anew when there is more: a new writer may have cut it off.
    open_->scanned = open_->limit = open_->good;
    open_->scan.reset();
    break;
  }
  return open_->good > std::max(open_->sent, open_->committed) ? put_on_disk() : Status();
}

// As far as the writer has committed; in a segment that it has left, as far as the file goes. With no writer as far, too, but what lies
// behind that which the last one had committed is looked at apart from what lies in front.
Status Reader::find_limit() {
  Open& o = *open_;
  bool is_running = probe_.is_running();
  std::optional<PlaceMark> end = TFS_TRY(read_end());
  uint64_t size = TFS_TRY(dir_->size_of("spool.reader.stat", to_text(o.name), o.file.get()));
  o.limit = o.committed = size;
  o.is_newest = false;
  if (end && end->place.index > index_) return {};
  o.is_newest = is_running;
  o.limit = o.committed = end && end->place.index == index_ ? std::min(size, end->place.offset) : 0;
  bool is_next = o.good <= std::max(o.sent, o.hello_size) && o.scanned >= o.committed;
  if (is_running || !is_next || size <= o.scanned) return {};
  // What the disk has refused to keep, and somebody else was told so, is in memory still, as if it had been kept.
  ::posix_fadvise(o.file.get(), 0, 0, POSIX_FADV_DONTNEED);
  o.limit = size;
  return {};
}

// What was found good and no writer has committed: it may be in memory only. Not before it was found good, for then a writer that comes
// does not change it any more. Where there is nothing to sync (EINVAL: squashfs) there was no writer.
Status Reader::put_on_disk() const {
  if (::fdatasync(open_->file.get()) != 0 && errno != EINVAL)
    return system_error("spool.reader.sync", errno, "unable to put on disk " + open_->shown);
  Status names = dir_->sync("spool.reader.names");
  if (!names && names.error().sys_errno != EINVAL) return names;
  return {};
}

// Nothing where it is missing or holds something else. What the disk refuses is no such answer: nobody would have vouched for anything.
Result<std::optional<PlaceMark>> Reader::read_end() {
  if (!end_file_.is_open()) {
    Result<sys::Fd> file = dir_->open_file("spool.reader.end", kEndFile, O_RDONLY);
    if (!file && file.error().sys_errno == ENOENT) return std::optional<PlaceMark>();
    end_file_ = TFS_TRY(std::move(file));
  }
  return read_place("spool.reader.committed", end_file_.get(), dir_->shown(kEndFile));
}

// False where the segment ends for now.
Result<bool> Reader::scan_block() {
  if (open_->scanned >= open_->limit) TFS_TRY(find_limit());
  if (open_->scanned >= open_->limit) return false;
  size_t wanted = std::min<uint64_t>(block_.size(), open_->limit - open_->scanned);
  size_t size =
      TFS_TRY(read_at("spool.reader.read", open_->file.get(), open_->shown, open_->scanned, std::span(block_).first(wanted)));
  ByteView rest = ByteView(block_).first(size);
  while (!rest.empty()) {
    Result<bool> whole = open_->scan.take(rest);
    if (whole && *whole) whole = take_frame();
    if (!whole && open_->good >= open_->committed) return false;  // no writer vouched for it
    if (!whole) return damaged(open_->shown, open_->good, whole.error());
    if (open_->is_over) return false;
    if (!*whole) break;
    open_->good = open_->scanned + size - rest.size();
  }
  open_->scanned += size;
  return size > 0;
}

// The frame that is whole now.
Result<bool> Reader::take_frame() {
  const format::Frame frame = open_->scan.kept();
  if (frame.header.type != format::RecordType::kHello) {
    if (open_->hello_size == 0) return corrupt("the segment does not begin with HELLO");
    TFS_TRY(track_.take(TFS_TRY(span_of(frame)), frame.header.type));
    return true;
  }
  bool is_own = TFS_TRY(epoch_of(frame)) == open_->name.epoch;
  if (open_->hello_size == 0) {
    if (!is_own) return corrupt("HELLO of another epoch than in the segment's name");
    open_->hello_size = frame.bytes.size();
  }
  open_->is_over = !is_own;
  return true;
}

// --- from segment to segment

Status Reader::open_segment(const SegmentName& name) {
  Open next;
  next.name = name;
  next.file = TFS_TRY(dir_->open_file("spool.reader.open", to_text(name), O_RDONLY));
  next.shown = dir_->shown(to_text(name));
  open_ = std::move(next);
  index_ = name.index;
  return {};
}

// False where there is none.
Result<bool> Reader::open_next() {
  for (int tries = 0;; tries++) {
    std::vector<Segment> segments = TFS_TRY(dir_->segments());
    auto next = std::find_if(segments.begin(), segments.end(), [this](const Segment& s) { return s.name.index > index_; });
    if (next == segments.end()) return false;
    Status status = open_segment(next->name);
    if (status) break;
    if (status.error().sys_errno != ENOENT || tries == kTries) return std::move(status).error();
  }
  TFS_TRY(begin_segment());
  return true;
}

// What the segment's name says, against what was read so far.
Status Reader::begin_segment() {
  const SegmentName& name = open_->name;
  if (name.epoch != track_.position().epoch) {
    track_.begin(name.epoch);
    if (name.first > 0) track_.expect(name.first);
    owes_hello_ = is_hello_urgent_ = true;
    return {};
  }
  if (!track_.has_position() || name.first <= track_.due()) return {};
  sys::WallTime now = sys::wall_time();
  Span lost{track_.due(), name.first - 1};
  TFS_TRY(track_.take(lost, format::RecordType::kGap));
  gap_.clear();
  format::append_frame({lost.last, 0, 0}, format::Gap{lost.first, {now.sec, now.nsec}}, gap_);
  has_gap_ = true;
  gap_place_ = here();
  return {};
}

// The segment is read as far as it goes, and the writer is not in it. True where there is more, in it or in the next one.
Result<bool> Reader::leave_segment() {
  std::vector<Segment> segments = TFS_TRY(dir_->segments());
  if (segments.empty() || segments.back().name.index <= index_) return false;
  // Only now, for it may have grown before the next one was begun.
  uint64_t size = TFS_TRY(dir_->size_of("spool.reader.leave", to_text(open_->name), open_->file.get()));
  if (size > open_->good && !open_->is_over) {
    if (open_->was_looked_at_again) return damaged(open_->shown, open_->good, corrupt("the segment ends inside a frame"));
    open_->was_looked_at_again = true;
    open_->limit = open_->committed = size;
    return true;
  }
  open_.reset();
  return open_next();
}

}  // namespace tfs::spool
