#include "lib/spool/status.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "lib/base/escape.h"
#include "lib/spool/hop.h"
#include "lib/spool/recovery.h"
#include "lib/spool/writer_lock.h"

namespace tfs::spool {
namespace {

// Where an epoch's last segment ends. What lies behind that which the writer has committed does not count yet; where none runs, all
// that a new one would find good does.
Result<Track> find_end(const Dir& dir, const Segment& segment, int fd, bool is_written) {
  std::string name = to_text(segment.name);
  std::optional<PlaceMark> end = dir.read_place(kEndFile);
  bool is_newest = !end || end->place.index <= segment.name.index;
  if (is_newest && !is_written) return TFS_TRY(check_segment(dir, segment.name, fd)).track;
  uint64_t limit = TFS_TRY(dir.size_of("spool.status.stat", name, fd));
  if (is_newest && end) limit = end->place.index == segment.name.index ? std::min(limit, end->place.offset) : 0;
  return TFS_TRY(end_of_segment(fd, dir.shown(name), segment.name.epoch, segment.name.first, limit)).track;
}

Status look_at_end(const Dir& dir, const Segment& segment, bool is_written, EpochStatus& epoch) {
  Result<sys::Fd> fd = dir.open_file("spool.status.open", to_text(segment.name), O_RDONLY);
  if (!fd) return fd.error().sys_errno == ENOENT ? Status() : Status(fd.error());  // trimmed at this moment
  Track track = TFS_TRY(find_end(dir, segment, fd->get(), is_written));
  if (track.has_position()) epoch.last = track.position().seq;
  epoch.has_ended = track.has_ended();
  return {};
}

Result<std::vector<EpochStatus>> look_at_epochs(const Dir& dir, const std::vector<Segment>& segments, bool is_written) {
  std::vector<EpochStatus> epochs;
  for (size_t i = 0; i < segments.size(); i++) {
    const SegmentName& name = segments[i].name;
    if (epochs.empty() || epochs.back().epoch != name.epoch) epochs.push_back({name.epoch, name.first, 0, false, 0, 0});
    EpochStatus& epoch = epochs.back();
    epoch.segments++;
    epoch.bytes += segments[i].size;
    bool is_last = i + 1 == segments.size() || segments[i + 1].name.epoch != name.epoch;
    if (is_last) TFS_TRY(look_at_end(dir, segments[i], is_written, epoch));
  }
  return epochs;
}

Lag lag_of(const PlaceMark& reader, const std::vector<Segment>& segments, const std::vector<EpochStatus>& epochs) {
  Lag lag;
  for (const Segment& s : segments) {
    if (s.name.index > reader.place.index) lag.bytes += s.size;
    if (s.name.index == reader.place.index) lag.bytes += s.size - std::min(s.size, reader.place.offset);
  }
  if (!epochs.empty() && epochs.back().epoch == reader.place.position.epoch) {
    lag.frames = epochs.back().last - std::min(epochs.back().last, reader.place.position.seq);
  }
  return lag;
}

std::string shown_name(const ReaderState& reader) { return reader.name.empty() ? "(output)" : reader.name; }

std::string position_of(const ReaderState& reader) {
  const format::Position& position = reader.place.place.position;
  return position.epoch.is_none() ? "(nothing yet)" : to_text(position);
}

std::string reader_line(const ReaderState& reader, const Lag& lag) {
  std::string frames = lag.frames ? std::to_string(*lag.frames) + " frames, " : "";
  return shown_name(reader) + "  " + position_of(reader) + "  behind by " + frames + std::to_string(lag.bytes) + " bytes" +
         (reader.is_reading ? "" : ", away") + "\n";
}

std::string field(std::string_view name, const std::string& value) { return quote(name) + ":" + value; }

}  // namespace

Result<SpoolStatus> look_at(const Dir& dir) {
  SpoolStatus status;
  status.path = dir.path();
  WriterProbe probe(dir);
  status.is_writer_running = probe.is_running();
  status.pid = probe.pid();
  std::vector<Segment> segments = TFS_TRY(dir.segments());
  status.epochs = TFS_TRY(look_at_epochs(dir, segments, status.is_writer_running));
  status.readers = TFS_TRY(list_readers(dir));
  status.segments = segments.size();
  for (const Segment& s : segments) status.bytes += s.size;
  for (const ReaderState& reader : status.readers) status.lags.push_back(lag_of(reader.place, segments, status.epochs));
  return status;
}

std::string to_text(const SpoolStatus& status) {
  std::string out = "spool   " + escape(status.path) + "\n";
  out += "writer  " + (status.is_writer_running ? "process " + status.pid : "not running") + "\n";
  out += "holds   " + std::to_string(status.bytes) + " bytes in " + std::to_string(status.segments) + " segments\n";
  for (const EpochStatus& e : status.epochs) {
    out += "epoch   " + to_text(e.epoch) + "  ";
    out += e.last == 0 ? "no frames yet" : "frames " + std::to_string(e.first) + " to " + std::to_string(e.last);
    out += std::string(e.has_ended ? ", ended" : "") + "  " + std::to_string(e.bytes) + " bytes in " +
           std::to_string(e.segments) + " segments\n";
  }
  for (size_t i = 0; i < status.readers.size(); i++) out += "reader  " + reader_line(status.readers[i], status.lags[i]);
  return out;
}

std::string readers_text(const SpoolStatus& status) {
  std::string out;
  for (size_t i = 0; i < status.readers.size(); i++) out += reader_line(status.readers[i], status.lags[i]);
  return out;
}

std::string readers_json(const SpoolStatus& status) {
  std::string out = "[";
  for (size_t i = 0; i < status.readers.size(); i++) {
    const ReaderState& r = status.readers[i];
    const Lag& lag = status.lags[i];
    out += i == 0 ? "{" : ",{";
    out += field("name", r.name.empty() ? "null" : quote(r.name)) + "," +
           field("position", r.place.place.position.epoch.is_none() ? "null" : quote(position_of(r))) + ",";
    out += field("reading", r.is_reading ? "true" : "false") + ",";
    out += field("lag_frames", lag.frames ? std::to_string(*lag.frames) : "null") + ",";
    out += field("lag_bytes", std::to_string(lag.bytes)) + "}";
  }
  return out + "]";
}

std::string to_json(const SpoolStatus& status) {
  std::string epochs;
  for (const EpochStatus& e : status.epochs) {
    epochs += (epochs.empty() ? "{" : ",{") + field("epoch", quote(to_text(e.epoch))) + "," +
              field("first", std::to_string(e.first)) + ",";
    epochs += field("last", std::to_string(e.last)) + "," + field("ended", e.has_ended ? "true" : "false") + ",";
    epochs += field("bytes", std::to_string(e.bytes)) + "," + field("segments", std::to_string(e.segments)) + "}";
  }
  bool is_empty = status.epochs.empty();
  auto position = [&](uint64_t EpochStatus::*seq, const EpochStatus& e) {
    return quote(to_text(format::Position{e.epoch, e.*seq}));
  };
  return "{" + field("spool", quote(status.path)) + "," + field("writer", status.is_writer_running ? quote(status.pid) : "null") +
         "," + field("bytes", std::to_string(status.bytes)) + "," + field("segments", std::to_string(status.segments)) + "," +
         field("first", is_empty ? "null" : position(&EpochStatus::first, status.epochs.front())) + "," +
         field("position", is_empty ? "null" : position(&EpochStatus::last, status.epochs.back())) + "," +
         field("ended", !is_empty && status.epochs.back().has_ended ? "true" : "false") + "," +
         field("epochs", "[" + epochs + "]") + "," + field("readers", readers_json(status)) + "}\n";
}

}  // namespace tfs::spool
