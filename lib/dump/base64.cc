#include "lib/dump/base64.h"

#include <array>

namespace tfs::dump {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNoDigit = 64;

constexpr std::array<uint8_t, 256> make_values() {
  std::array<uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (size_t i = 0; i < kDigits.size(); i++) values[static_cast<uint8_t>(kDigits[i])] = static_cast<uint8_t>(i);
  return values;
}

constexpr auto kValues = make_values();

uint32_t value_of(char digit) { return kValues[static_cast<uint8_t>(digit)]; }

// The last one or two bytes, behind which a digit would hold bits of nothing.
Status append_tail(std::string_view four, std::vector<std::byte>& out) {
  size_t digits = four[2] == '=' ? 2 : 3;
  uint32_t a = value_of(four[0]), b = value_of(four[1]), c = digits == 3 ? value_of(four[2]) : 0;
  uint32_t loose = digits == 2 ? b & 15 : c & 3;
  if ((a | b | c) >= kNoDigit || loose != 0) return corrupt("not base64");
  out.push_back(static_cast<std::byte>(a << 2 | b >> 4));
  if (digits == 3) out.push_back(static_cast<std::byte>((b & 15) << 4 | c >> 2));
  return {};
}

}  // namespace

void append_base64(ByteView bytes, std::string& out) {
  size_t start = out.size();
  out.resize(start + round_up(bytes.size(), 3) / 3 * 4, '=');
  char* to = out.data() + start;
  auto at = [&bytes](size_t i) { return static_cast<uint32_t>(bytes[i]); };
  size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3, to += 4) {
    uint32_t three = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    to[0] = kDigits[three >> 18];
    to[1] = kDigits[three >> 12 & 63];
    to[2] = kDigits[three >> 6 & 63];
    to[3] = kDigits[three & 63];
  }
  if (i == bytes.size()) return;
  bool has_two = i + 2 == bytes.size();
  uint32_t two = at(i) << 8 | (has_two ? at(i + 1) : 0);
  to[0] = kDigits[two >> 10];
  to[1] = kDigits[two >> 4 & 63];
  if (has_two) to[2] = kDigits[two << 2 & 63];
}

Status append_from_base64(std::string_view text, std::vector<std::byte>& out) {
  if (text.size() % 4 != 0) return corrupt("not base64");
  bool has_tail = text.ends_with('=');
  std::string_view whole = text.substr(0, text.size() - (has_tail ? 4 : 0));
  size_t start = out.size();
  out.resize(start + whole.size() / 4 * 3);
  std::byte* to = out.data() + start;
  uint32_t wrong = 0;
  for (size_t i = 0; i < whole.size(); i += 4, to += 3) {
    uint32_t a = value_of(whole[i]), b = value_of(whole[i + 1]), c = value_of(whole[i + 2]), d = value_of(whole[i + 3]);
    wrong |= (a | b | c | d) & kNoDigit;
    to[0] = static_cast<std::byte>(a << 2 | b >> 4);
    to[1] = static_cast<std::byte>(b << 4 | c >> 2);
    to[2] = static_cast<std::byte>(c << 6 | d);
  }
  if (wrong != 0) return corrupt("not base64");
  return has_tail ? append_tail(text.substr(whole.size()), out) : Status();
}

}  // namespace tfs::dump
