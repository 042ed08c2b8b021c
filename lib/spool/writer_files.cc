// The writer's files: how it is opened, and each step from one file to the next, every one of them safe against a kill.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "lib/spool/file_io.h"
#include "lib/spool/writer.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::spool {
namespace {

constexpr size_t kBlock = size_t{128} << 10;  // looked at at once: it stays in the cache

}  // namespace

Writer::Writer(const Dir& dir, const Settings& settings, WriterLock lock)
    : dir_(dir),
      settings_(settings),
      lock_(std::move(lock)),
      room_(dir, settings.limits),
      syncer_(dir, settings.sync, [this] { lock_.note_loss(); }),
      buffer_(kBlock) {}

Result<std::unique_ptr<Writer>> Writer::open(const Dir& dir, const Settings& settings) {
  WriterLock lock = TFS_TRY(WriterLock::take(dir));
  Recovered found = TFS_TRY(recover(dir, lock.is_after_restart()));
  if (lock.is_after_restart()) {
    Place end;
    if (found.has_segment) end = {found.name.index, found.check.good, found.check.track.position()};
    TFS_TRY(pull_readers_back(dir, end));
  }
  lock.note_start();
  std::unique_ptr<Writer> writer(new Writer(dir, settings, std::move(lock)));
  writer->end_file_ = TFS_TRY(dir.open_file("spool.writer.end", kEndFile, O_RDWR | O_CREAT));
  // Where somebody has taken the segments away, a reader that knows them would take lower numbers for what it has had.
  std::optional<PlaceMark> end = TFS_TRY(read_place("spool.writer.last_end", writer->end_file_.get(), dir.shown(kEndFile)));
  if (end) found.next_index = std::max(found.next_index, end->place.index + 1);
  TFS_TRY(writer->resume(std::move(found)));
  TFS_TRY(writer->finish_older());
  TFS_TRY(writer->commit());  // of what comes in nothing may go on from here, for a long time
  TFS_TRY(writer->resume_incoming());
  TFS_TRY(writer->commit());
  TFS_TRY(writer->touch());
  return writer;
}

// The newest segment, with a frame that broke off at its end, if there is one: the input may bring the rest.
Status Writer::resume(Recovered found) {
  next_index_ = found.next_index;
  if (!found.has_segment) return {};
  tail_.name = found.name;
  tail_.file_name = to_text(found.name);
  tail_.file = TFS_TRY(dir_.open_file("spool.writer.newest", tail_.file_name, O_RDWR));
  TFS_TRY(syncer_.follow(tail_.file.get()));
  tail_.size = found.check.size;
  tail_.good = tail_.scanned = found.check.good;
  hello_ = std::move(found.check.hello);
  track_ = found.check.track;
  is_rejoined_ = found.check.is_rejoined;
  if (found.name.first == 0 && track_.has_position()) TFS_TRY(number_segment(TFS_TRY(first_number(found.name))));
  return {};
}

// Segments that are complete, and are not marked so: a writer was killed before they were on disk, or did not care. After a power cut the
// spool ends at the first loss, and so what comes in from now on is worth no more than they are.
Status Writer::finish_older() {
  for (const Segment& segment : TFS_TRY(dir_.segments())) {
    if (segment.is_finished || segment.name.index >= tail_.name.index) continue;
    std::string name = to_text(segment.name);
    sys::Fd file = TFS_TRY(dir_.open_file("spool.writer.unfinished", name, O_RDONLY));
    TFS_TRY(syncer_.finish(std::move(file), name));
  }
  return syncer_.is_each() ? syncer_.drain() : Status();
}

// Killed before the segment that holds its first frame could be named after it.
Result<uint64_t> Writer::first_number(const SegmentName& name) const {
  Hop hop(tail_.file.get(), dir_.shown(tail_.file_name), name.epoch, tail_.good);
  while (true) {
    std::optional<HopFrame> frame = TFS_TRY(hop.next());
    if (!frame) return uint64_t{0};
    if (frame->type != format::RecordType::kHello) return frame->span.first;
  }
}

Status Writer::resume_incoming() {
  Result<sys::Fd> file = dir_.open_file("spool.writer.incoming", kIncoming, O_RDWR);
  if (!file && file.error().sys_errno != ENOENT) return std::move(file).error();
  if (file) {
    TFS_TRY(cut_tail());  // what was behind is in "incoming"
    TFS_TRY(close_tail());
    tail_.file = std::move(*file);
    tail_.file_name = kIncoming;
    tail_.is_incoming = true;
    tail_.size = TFS_TRY(dir_.size_of("spool.writer.incoming", kIncoming, tail_.file.get()));
  }
  Status status = check();
  if (status || status.error().kind == Kind::kSystem) return status;
  sys::warn("what was coming in when the last writer was killed is refused: " + status.error().message());
  return cut_tail();
}

// --- from file to file

Status Writer::open_incoming() {
  tail_ = TFS_TRY(make_incoming({}, 0));
  return with_room([this] { return dir_.rename("spool.incoming.open", kIncomingNew, kIncoming); });
}

// "incoming" becomes `heads` and what lies in it from `from` on.
Status Writer::rewrite_incoming(const std::vector<ByteView>& heads, uint64_t from) {
  Tail next = TFS_TRY(make_incoming(heads, from));
  TFS_TRY(dir_.rename("spool.incoming.rewrite", kIncomingNew, kIncoming));
  tail_ = std::move(next);
  return {};
}

// What lies in the segment from `from` on does not go on in it: it becomes "incoming", behind `heads`. In this order: once it has
// its name there, a new writer cuts the segment, too.
Status Writer::leave_segment(const std::vector<ByteView>& heads, uint64_t from) {
  Tail next = TFS_TRY(make_incoming(heads, from));
  TFS_TRY(dir_.rename("spool.incoming.leave", kIncomingNew, kIncoming));
  TFS_TRY(cut_tail());
  TFS_TRY(commit());
  TFS_TRY(close_tail());
  tail_ = std::move(next);
  return {};
}

// As "incoming.new", to be renamed.
Result<Writer::Tail> Writer::make_incoming(const std::vector<ByteView>& heads, uint64_t from) {
  Tail next;
  TFS_TRY(with_room([&]() -> Status {
    next.file = TFS_TRY(dir_.open_file("spool.incoming.new", kIncomingNew, O_RDWR | O_CREAT | O_TRUNC));
    for (ByteView head : heads) TFS_TRY(sys::write_all("spool.incoming.head", next.file.get(), head));
    return tail_.file.is_open() ? copy_from_tail(from, next.file.get()) : Status();
  }));
  next.file_name = kIncoming;
  next.is_incoming = true;
  next.size = TFS_TRY(dir_.size_of("spool.incoming.stat", kIncomingNew, next.file.get()));
  return next;
}

Status Writer::copy_from_tail(uint64_t from, int to) {
  const PageBytes block(kBlock);
  while (from < tail_.size) {
    size_t size = TFS_TRY(read_at("spool.incoming.read", tail_.file.get(), dir_.shown(tail_.file_name), from,
                                  std::span(block).first(std::min<uint64_t>(kBlock, tail_.size - from))));
    if (size == 0) break;
    TFS_TRY(sys::write_all("spool.incoming.copy", to, ByteView(block).first(size)));
    from += size;
  }
  return {};
}

// "incoming" is HELLO and frames that go on from what is held (or begin an epoch): it gets a segment's name.
Status Writer::become_segment(uint64_t first) {
  TFS_TRY(room_.before_segment(settings_.segment_bytes));
  tail_.name = {next_index_++, track_.position().epoch, first};
  tail_.file_name = to_text(tail_.name);
  TFS_TRY(with_room([this] { return dir_.rename("spool.segment.name", kIncoming, tail_.file_name); }));
  tail_.is_incoming = false;
  syncer_.renamed();
  TFS_TRY(syncer_.follow(tail_.file.get()));
  return remove_hollow();
}

Status Writer::number_segment(uint64_t first) {
  std::string before = tail_.file_name;
  tail_.name.first = first;
  tail_.file_name = to_text(tail_.name);
  syncer_.renamed();
  return with_room([&] { return dir_.rename("spool.segment.number", before, tail_.file_name); });
}

// The segment is full, and ends with a whole frame.
Status Writer::rotate() {
  TFS_TRY(room_.before_segment(settings_.segment_bytes));
  Tail next = TFS_TRY(make_incoming({hello_}, tail_.size));
  next.is_incoming = false;
  next.name = {next_index_++, track_.position().epoch, track_.due()};
  next.file_name = to_text(next.name);
  next.good = next.scanned = next.size;
  TFS_TRY(with_room([&] { return dir_.rename("spool.segment.next", kIncomingNew, next.file_name); }));
  TFS_TRY(close_tail());
  tail_ = std::move(next);
  syncer_.renamed();
  TFS_TRY(syncer_.follow(tail_.file.get()));
  return commit();
}

// What is not good goes.
Status Writer::cut_tail() {
  if (!tail_.file.is_open()) return {};
  if (tail_.is_incoming) {
    tail_ = {};
    return dir_.remove("spool.incoming.remove", kIncoming);
  }
  if (tail_.size > tail_.good) {
    TFS_TRY(dir_.truncate("spool.segment.cut", tail_.file_name, tail_.file.get(), tail_.good));
    // Where a power cut brought it back the spool would end here, whatever had come behind it.
    TFS_TRY(syncer_.wrote(tail_.file.get()));
  }
  tail_.size = tail_.scanned = tail_.good;
  tail_.scan.reset();
  return {};
}

// Nothing more comes into this segment. One without frames is not worth keeping once there is another.
Status Writer::close_tail() {
  Tail old = std::move(tail_);
  tail_ = {};
  if (!old.file.is_open()) return {};
  bool is_hollow = old.name.first == 0 || (track_.has_position() && old.name.first == track_.due());
  if (!is_hollow) return syncer_.finish(std::move(old.file), old.file_name);
  hollow_ = old.file_name;
  return {};
}

Status Writer::remove_hollow() {
  if (hollow_.empty()) return {};
  return dir_.remove("spool.segment.hollow", std::exchange(hollow_, {}));
}

Status Writer::close() {
  if (has_input_) {  // it goes on from here, and so does the newest segment
    TFS_TRY(syncer_.put_on_disk_now(tail_.file.get()));
  } else {
    TFS_TRY(cut_tail());
    TFS_TRY(close_tail());
  }
  return syncer_.drain();
}

// --- what readers see

Status Writer::commit() {
  if (!tail_.file.is_open() || tail_.is_incoming) return {};
  PlaceMark now{{tail_.name.index, tail_.good, track_.position()}, track_.has_ended() ? Mark::kDone : Mark::kOpen};
  if (now == committed_) return {};
  TFS_TRY(syncer_.wrote(tail_.file.get()));
  committed_ = now;
  return touch();
}

// Wakes all that wait for the spool to change.
Status Writer::touch() {
  return with_room([this] { return dir_.write_place("spool.end.write", kEndFile, end_file_.get(), committed_); });
}

template <class F>
Status Writer::with_room(F f) {
  while (true) {
    Status status = f();
    if (status || !is_full(status.error())) return status;
    TFS_TRY(room_.after_full(status.error()));
  }
}

}  // namespace tfs::spool
