// The names in a spool's directory and the lines in its small files, as tfs_spool(5) has them. Does no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/format/position.h"

namespace tfs::spool {

constexpr char kFormatFile[] = "format";
constexpr std::string_view kFormatText = "tfs-spool 1\n";
constexpr char kLockFile[] = "lock";
constexpr char kEndFile[] = "end";         // where that ends which readers may take
constexpr char kOutputFile[] = "output";   // what went to the writer's own standard output
constexpr char kReadersDir[] = "readers";  // a file for each registered reader
constexpr char kIncoming[] = "incoming";   // an input whose place in the spool is not known yet
constexpr char kIncomingNew[] = "incoming.new";

// "0000000000000007-0123456789abcdef0123456789abcdef-0000000000001234.tfs"
struct SegmentName {
  uint64_t index = 0;  // from 1
  format::Epoch epoch;
  uint64_t first = 0;  // the first number in it ([first] of a GAP); 0 where it is not known yet, in the newest only
  bool operator==(const SegmentName&) const = default;
};
std::string to_text(const SegmentName& name);
std::optional<SegmentName> parse_segment_name(std::string_view text);

// A place in a spool: between two frames.
struct Place {
  uint64_t index = 0;         // of the segment; 0 before the first
  uint64_t offset = 0;        // of the next frame in that file
  format::Position position;  // of the frame before it
  bool operator==(const Place&) const = default;
};

// What stands behind a place in a file.
enum class Mark {
  kOpen,  // more is to come, or a reader is (or was, when it was killed) on its way
  kDone,  // the frame before it is END, or a reader has ended in order: all up to here was taken
  kGone,  // whoever read there has closed it: what was under way may be lost
};

struct PlaceMark {
  Place place;
  Mark mark = Mark::kOpen;
  bool operator==(const PlaceMark&) const = default;
};

// One line of kPlaceLine bytes, so that it can be overwritten where it stands; with a checksum, for who reads it meanwhile.
constexpr size_t kPlaceLine = 102;
std::string to_text(const PlaceMark& place);
std::optional<PlaceMark> parse_place(std::string_view text);

// A registered reader's name: 1 to 64 of A-Z a-z 0-9 . _ - and no dot in front.
bool is_reader_name(std::string_view name);

}  // namespace tfs::spool
