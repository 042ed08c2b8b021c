#include "lib/spool/recovery.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "lib/spool/file_io.h"
#include "lib/spool/frame_scan.h"
#include "lib/sys/message.h"

namespace tfs::spool {
namespace {

constexpr size_t kBlock = size_t{256} << 10;
constexpr uint64_t kNumbersAhead = uint64_t{1} << 20;  // more than the frames behind a bad one that are looked at can have

// What a frame says about its place. True where the segment goes on behind it.
Result<bool> take_frame(const FrameScan& scan, const SegmentName& name, SegmentCheck& check) {
  if (scan.header().type != format::RecordType::kHello) {
    if (check.hello.empty()) return corrupt("the segment does not begin with HELLO");
    Span span = TFS_TRY(span_of(scan.kept()));
    bool goes_on = !check.track.has_position() || (!check.track.has_ended() && span.first == check.track.due());
    if (check.is_rejoined && !goes_on) return false;
    TFS_TRY(check.track.take(span, scan.header().type));
    check.is_rejoined = false;
    check.has_frames = true;
    return true;
  }
  bool is_own = TFS_TRY(epoch_of(scan.kept())) == name.epoch;
  if (check.hello.empty()) {
    if (!is_own) return corrupt("HELLO of another epoch than in the segment's name");
    check.hello.assign(scan.kept().bytes.begin(), scan.kept().bytes.end());
  }
  check.is_foreign = !is_own;
  check.is_rejoined = is_own && check.good > 0;
  return is_own;
}

// True until the segment ends or something is wrong with it.
Result<bool> take_block(ByteView bytes, uint64_t offset, const SegmentName& name, FrameScan& scan, SegmentCheck& check) {
  size_t size = bytes.size();
  while (!bytes.empty()) {
    if (!TFS_TRY(scan.take(bytes))) break;
    if (!TFS_TRY(take_frame(scan, name, check))) return false;
    check.good = offset + size - bytes.size();
  }
  return true;
}

// Whether good frames follow the bad one at `check.good`: then it is no torn tail. They are looked for at each place where one may
// begin, since the bad one's size cannot be trusted. Where a tail is torn this is not asked: a WRITE that breaks off may well
// hold a file with frames in it.
Result<bool> goes_on_behind(const Dir& dir, const SegmentName& name, int fd, const SegmentCheck& check) {
  PageBytes bytes(2 * format::kMaxFrame + 2 * format::kAlignment);
  size_t size = TFS_TRY(read_at("spool.recover.behind", fd, dir.shown(to_text(name)), check.good, bytes));
  ByteView all = ByteView(bytes).first(size);
  for (size_t at = format::kAlignment; at + format::kHeaderSize <= all.size(); at += format::kAlignment) {
    format::Header header = format::load_header(all.data() + at);
    bool may_be = header.seq > check.track.position().seq && header.seq <= check.track.position().seq + kNumbersAhead &&
                  format::check_header(header).ok() && at + header.stride() <= all.size();
    if (may_be && format::check_frame({header, all.subspan(at, header.stride())})) return true;
  }
  return false;
}

Status cut(const Dir& dir, const SegmentName& name, int fd, const SegmentCheck& check, const std::string& why) {
  sys::warn(dir.shown(to_text(name)) + ": cut off " + std::to_string(check.size - check.good) + " bytes at byte " +
            std::to_string(check.good) + ": " + why);
  return dir.truncate("spool.recover.cut", to_text(name), fd, check.good);
}

Status remove_from(const Dir& dir, const std::vector<Segment>& segments, size_t from) {
  for (size_t i = segments.size(); i-- > from;) {  // the newest first: killed in between, what is left has no hole
    sys::warn("removed " + dir.shown(to_text(segments[i].name)) + ": it lies behind what was lost");
    TFS_TRY(dir.remove("spool.recover.remove", to_text(segments[i].name)));
  }
  return {};
}

// After a restart of the machine: the first segment that is not as it was written is the last one. One that lost its end at the end of a
// frame is told by the number with which the next one begins.
Status cut_after_restart(const Dir& dir, const std::vector<Segment>& segments) {
  std::optional<Track> before;  // of the segment before, where that is not sure to be whole
  for (size_t i = 0; i < segments.size(); i++) {
    const SegmentName& name = segments[i].name;
    bool goes_on = !before || name.epoch != before->position().epoch || name.first == 0 || name.first == before->due();
    if (!goes_on) return remove_from(dir, segments, i);
    before.reset();
    if (segments[i].is_finished) continue;
    sys::Fd fd = TFS_TRY(dir.open_file("spool.recover.open", to_text(name), O_RDWR));
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);  // what is on disk is asked for, and not what was to be
    SegmentCheck check = TFS_TRY(check_segment(dir, name, fd.get()));
    if (check.good == check.size && !check.hello.empty()) {
      if (check.track.has_position()) before = check.track;
      continue;
    }
    TFS_TRY(remove_from(dir, segments, check.hello.empty() ? i : i + 1));
    if (check.hello.empty()) return {};
    return cut(dir, name, fd.get(), check, check.problem ? "the frame breaks off" : check.problem.error().message());
  }
  return {};
}

Status make_writable(const Dir& dir, const Segment& segment) {
  if (!segment.is_finished || ::fchmodat(dir.fd(), to_text(segment.name).c_str(), dir.file_mode(), 0) == 0) return {};
  return system_error("spool.recover.chmod", errno, "unable to write to " + dir.shown(to_text(segment.name)));
}

}  // namespace

Result<SegmentCheck> check_segment(const Dir& dir, const SegmentName& name, int fd) {
  SegmentCheck check;
  check.size = TFS_TRY(dir.size_of("spool.check.stat", to_text(name), fd));
  check.track.begin(name.epoch);
  if (name.first > 0) check.track.expect(name.first);
  FrameScan scan;
  const PageBytes block(kBlock);
  for (uint64_t offset = 0; offset < check.size;) {
    size_t size = TFS_TRY(read_at("spool.check.read", fd, dir.shown(to_text(name)), offset, block));
    if (size == 0) break;
    Result<bool> goes_on = take_block(ByteView(block).first(size), offset, name, scan, check);
    if (!goes_on) {
      check.problem = std::move(goes_on).error();
      break;
    }
    if (!*goes_on) break;
    offset += size;
  }
  return check;
}

Result<Recovered> recover(const Dir& dir, bool is_after_restart) {
  TFS_TRY(dir.remove("spool.recover.new", kIncomingNew));
  if (is_after_restart) {
    TFS_TRY(dir.remove("spool.recover.incoming", kIncoming));  // the pipe that it came from is gone as well
    TFS_TRY(cut_after_restart(dir, TFS_TRY(dir.segments())));
  }
  Recovered found;
  for (std::vector<Segment> segments = TFS_TRY(dir.segments()); !segments.empty(); segments.pop_back()) {
    const SegmentName& name = segments.back().name;
    found.next_index = std::max(found.next_index, name.index + 1);
    TFS_TRY(make_writable(dir, segments.back()));
    sys::Fd fd = TFS_TRY(dir.open_file("spool.recover.newest", to_text(name), O_RDWR));
    SegmentCheck check = TFS_TRY(check_segment(dir, name, fd.get()));
    if (!check.problem && TFS_TRY(goes_on_behind(dir, name, fd.get(), check))) {
      Error why = damaged(dir.shown(to_text(name)), check.good, check.problem.error());
      why.detail += "; good frames follow it: read what is behind, then cut the file there (truncate -s " +
                    std::to_string(check.good) + ")";
      return why;
    }
    if (!check.problem) {
      TFS_TRY(cut(dir, name, fd.get(), check, check.problem.error().message()));
      check.size = check.good;
    }
    if (check.hello.empty()) {
      sys::warn("removed " + dir.shown(to_text(name)) + ": it holds no whole frame");
      TFS_TRY(dir.remove("spool.recover.empty", to_text(name)));
      continue;
    }
    found.has_segment = true;
    found.name = name;
    found.check = std::move(check);
    return found;
  }
  return found;
}

}  // namespace tfs::spool
