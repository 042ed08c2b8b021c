#include "lib/spool/layout.h"

#include <algorithm>
#include <charconv>

#include "lib/format/crc32c.h"

namespace tfs::spool {
namespace {

constexpr size_t kHex = 16, kEpoch = 32, kDecimal = 20, kSum = 8;
constexpr std::string_view kSuffix = ".tfs";
constexpr std::string_view kMarks[] = {"open", "done", "gone"};

void append_digits(std::string& out, uint64_t value, unsigned base, size_t width) {
  size_t start = out.size();
  out.resize(start + width, '0');
  for (size_t at = out.size(); at > start; value /= base) out[--at] = "0123456789abcdef"[value % base];
}

// Takes a number of exactly `width` digits off the front.
std::optional<uint64_t> take_digits(std::string_view& text, int base, size_t width) {
  uint64_t value = 0;
  if (text.size() < width) return {};
  auto [end, ec] = std::from_chars(text.data(), text.data() + width, value, base);
  if (ec != std::errc() || end != text.data() + width) return {};
  text.remove_prefix(width);
  return value;
}

std::optional<format::Epoch> take_epoch(std::string_view& text) {
  if (text.size() < kEpoch) return {};
  Result<format::Epoch> epoch = format::parse_epoch(text.substr(0, kEpoch));
  if (!epoch) return {};
  text.remove_prefix(kEpoch);
  return *epoch;
}

bool take(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) return false;
  text.remove_prefix(what.size());
  return true;
}

bool is_reader_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::string to_text(const SegmentName& name) {
  std::string out;
  append_digits(out, name.index, 16, kHex);
  out += "-" + format::to_text(name.epoch) + "-";
  append_digits(out, name.first, 16, kHex);
  out += kSuffix;
  return out;
}

std::optional<SegmentName> parse_segment_name(std::string_view text) {
  SegmentName name;
  std::string_view rest = text;
  std::optional<uint64_t> index = take_digits(rest, 16, kHex);
  if (!index || !take(rest, "-")) return {};
  std::optional<format::Epoch> epoch = take_epoch(rest);
  if (!epoch || !take(rest, "-")) return {};
  std::optional<uint64_t> first = take_digits(rest, 16, kHex);
  if (!first || rest != kSuffix) return {};
  name = {*index, *epoch, *first};
  if (to_text(name) != text) return {};  // upper case
  return name;
}

std::string to_text(const PlaceMark& p) {
  std::string out;
  out.reserve(kPlaceLine);
  append_digits(out, p.place.index, 16, kHex);
  out += ' ';
  append_digits(out, p.place.offset, 16, kHex);
  out += ' ';
  out += format::to_text(p.place.position.epoch);
  out += ':';
  append_digits(out, p.place.position.seq, 10, kDecimal);
  out += ' ';
  out += kMarks[static_cast<size_t>(p.mark)];
  uint32_t sum = format::crc32c(0, as_bytes(out));
  out += ' ';
  append_digits(out, sum, 16, kSum);
  out += '\n';
  return out;
}

std::optional<PlaceMark> parse_place(std::string_view text) {
  if (text.size() != kPlaceLine) return {};
  std::string_view summed = text.substr(0, kPlaceLine - kSum - 2), rest = text.substr(summed.size());
  if (!take(rest, " ") || take_digits(rest, 16, kSum) != format::crc32c(0, as_bytes(summed)) || rest != "\n") return {};
  text = summed;
  std::optional<uint64_t> index = take_digits(text, 16, kHex);
  if (!index || !take(text, " ")) return {};
  std::optional<uint64_t> offset = take_digits(text, 16, kHex);
  if (!offset || !take(text, " ")) return {};
  std::optional<format::Epoch> epoch = take_epoch(text);
  if (!epoch || !take(text, ":")) return {};
  std::optional<uint64_t> seq = take_digits(text, 10, kDecimal);
  if (!seq || !take(text, " ")) return {};
  const auto* mark = std::find(std::begin(kMarks), std::end(kMarks), text);
  if (mark == std::end(kMarks)) return {};
  return PlaceMark{{*index, *offset, {*epoch, *seq}}, static_cast<Mark>(mark - std::begin(kMarks))};
}

bool is_reader_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name[0] != '.' && std::all_of(name.begin(), name.end(), is_reader_char);
}

}  // namespace tfs::spool
