// Where a reader begins: a segment, a position or a place.
#include <fcntl.h>

#include <algorithm>

#include "lib/base/escape.h"
#include "lib/spool/file_io.h"
#include "lib/spool/reader.h"

namespace tfs::spool {
namespace {

Error not_held(const format::Position& position, const std::string& why) {
  return mismatch("the spool cannot go on from " + to_text(position) + ": " + why);
}

std::string last_held(const std::vector<Segment>& segments) {
  return segments.empty() ? "it is empty" : "its newest epoch is " + to_text(segments.back().name.epoch);
}

// The segment that holds the frame behind `position`, or ends with it.
Result<SegmentName> segment_of(const std::vector<Segment>& segments, const format::Position& position) {
  std::optional<SegmentName> first, found;
  for (const Segment& s : segments) {
    if (s.name.epoch != position.epoch) continue;
    if (!first) first = s.name;
    if (s.name.first <= position.seq + 1) found = s.name;
  }
  if (!first) return not_held(position, "it does not hold that epoch (" + last_held(segments) + ")");
  if (!found)
    return not_held(position,
                    "it begins with frame " + std::to_string(first->first) + " of that epoch, what was before is trimmed");
  return *found;
}

// Behind HELLO and the frames in front of `position`, by their headers.
Result<SegmentEnd> find_behind(const Dir& dir, const SegmentName& name, int fd, const format::Position& position) {
  std::string shown = dir.shown(to_text(name));
  uint64_t size = TFS_TRY(dir.size_of("spool.start.stat", to_text(name), fd));
  SegmentEnd end;
  end.track.begin(name.epoch);
  if (name.first > 0) end.track.expect(name.first);
  Hop hop(fd, shown, name.epoch, size);
  // No further than needed: what follows may not be committed yet.
  while (end.offset == 0 || end.track.position().seq < position.seq) {
    std::optional<HopFrame> frame = TFS_TRY(hop.next());
    if (!frame && end.offset == 0) return damaged(shown, 0, corrupt("the segment does not begin with HELLO"));
    if (!frame) return not_held(position, "it only holds " + to_text(end.track.position()) + " yet");
    if (frame->type == format::RecordType::kHello) {
      if (end.offset == 0) end.hello_size = frame->end;
    } else if (frame->span.first <= position.seq && position.seq < frame->span.last) {
      return not_held(position, "the frames behind it are lost");
    } else {
      Status status = end.track.take(frame->span, frame->type);
      if (!status) return damaged(shown, frame->offset, status.error());
    }
    end.offset = frame->end;
  }
  if (end.track.position().seq == position.seq) return end;
  return not_held(position, "its frames of that epoch begin behind it");
}

}  // namespace

Result<Reader> Reader::from_segment(const Dir& dir, uint64_t index) {
  Reader reader(dir);
  reader.index_ = index - std::min<uint64_t>(index, 1);
  return reader;
}

Result<Reader> Reader::from_position(const Dir& dir, const format::Position& position) {
  Reader reader(dir);
  while (true) {
    SegmentName name = TFS_TRY(segment_of(TFS_TRY(dir.segments()), position));
    Status status = reader.open_segment(name);
    if (!status && status.error().sys_errno == ENOENT) continue;  // it was trimmed, or got its number, just now
    TFS_TRY(std::move(status));
    TFS_TRY(reader.go_to(TFS_TRY(find_behind(dir, name, reader.open_->file.get(), position))));
    return reader;
  }
}

Result<Reader> Reader::from_place(const Dir& dir, const Place& place) {
  Reader reader(dir);
  reader.index_ = place.index;
  reader.is_hello_urgent_ = false;
  for (const Segment& s : TFS_TRY(dir.segments())) {
    if (s.name.index != place.index) continue;
    TFS_TRY(reader.open_segment(s.name));
    TFS_TRY(reader.go_to(TFS_TRY(find_behind(dir, s.name, reader.open_->file.get(), place.position))));
    return reader;
  }
  reader.track_.begin(place.position.epoch);
  if (place.position.seq > 0) reader.track_.expect(place.position.seq + 1);
  return reader;
}

// Into the segment that is open, behind frames that were looked at by their headers only.
Status Reader::go_to(const SegmentEnd& end) {
  Open& o = *open_;
  track_ = end.track;
  o.hello_size = std::min(end.hello_size, end.offset);
  o.sent = o.good = o.scanned = o.limit = end.offset;
  return {};
}

}  // namespace tfs::spool
