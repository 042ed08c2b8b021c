#include "lib/format/position.h"

#include <charconv>

#include "lib/base/escape.h"

namespace tfs::format {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string to_text(const Epoch& epoch) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (uint8_t b : epoch.bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

Result<Epoch> parse_epoch(std::string_view text) {
  Epoch epoch;
  if (text.size() != 2 * epoch.bytes.size()) return usage_error("not an epoch (32 hexadecimal digits): " + escape(text));
  for (size_t i = 0; i < epoch.bytes.size(); i++) {
    int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return usage_error("not an epoch (32 hexadecimal digits): " + escape(text));
    epoch.bytes[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return epoch;
}

std::string to_text(const Position& position) { return to_text(position.epoch) + ":" + std::to_string(position.seq); }

Result<Position> parse_position(std::string_view text) {
  size_t colon = text.find(':');
  if (colon == std::string_view::npos) return usage_error("not a position (EPOCH:SEQ): " + escape(text));
  Position position;
  position.epoch = TFS_TRY(parse_epoch(text.substr(0, colon)));
  std::string_view digits = text.substr(colon + 1);
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), position.seq);
  if (ec != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
    return usage_error("not a position (EPOCH:SEQ): " + escape(text));
  }
  return position;
}

}  // namespace tfs::format
