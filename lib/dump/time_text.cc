#include "lib/dump/time_text.h"

#include <charconv>

#include "lib/base/escape.h"

namespace tfs::dump {
namespace {

constexpr uint32_t kBillion = 1'000'000'000;
constexpr size_t kFraction = 9;  // digits
constexpr uint64_t kMostNegative = uint64_t{1} << 63;

bool is_digits(std::string_view text) { return text.find_first_not_of("0123456789") == text.npos && !text.empty(); }

}  // namespace

void append_time(const format::Time& time, std::string& out) {
  auto whole = static_cast<uint64_t>(time.sec);
  uint32_t fraction = time.nsec;
  if (time.sec < 0) {
    out += '-';
    whole = 0 - whole;
    if (fraction > 0) {
      whole -= 1;
      fraction = kBillion - fraction;
    }
  }
  char text[32];
  char* end = std::to_chars(text, text + 20, whole).ptr;
  *end = '.';
  for (size_t i = kFraction; i > 0; i--, fraction /= 10) end[i] = static_cast<char>('0' + fraction % 10);
  out.append(text, end + 1 + kFraction);
}

Result<format::Time> parse_time(std::string_view text) {
  constexpr size_t kShown = 40;  // of what may be megabytes
  auto wrong = [text] { return corrupt("not a time (SECONDS.NNNNNNNNN): " + escape(text.substr(0, kShown))); };
  bool is_negative = text.starts_with('-');
  std::string_view digits = text.substr(is_negative ? 1 : 0);
  size_t dot = digits.find('.');
  if (dot == digits.npos) return wrong();
  std::string_view seconds = digits.substr(0, dot), rest = digits.substr(dot + 1);
  if (!is_digits(seconds) || !is_digits(rest) || rest.size() != kFraction) return wrong();
  if (seconds.size() > 1 && seconds[0] == '0') return wrong();
  uint64_t whole = 0;
  uint32_t fraction = 0;
  if (std::from_chars(seconds.data(), seconds.data() + seconds.size(), whole).ec != std::errc()) return wrong();
  std::from_chars(rest.data(), rest.data() + rest.size(), fraction);
  if (!is_negative) {
    if (whole >= kMostNegative) return wrong();
    return format::Time{static_cast<int64_t>(whole), fraction};
  }
  if (whole == 0 && fraction == 0) return wrong();
  if (whole > kMostNegative || (whole == kMostNegative && fraction > 0)) return wrong();
  if (fraction > 0) {
    whole += 1;
    fraction = kBillion - fraction;
  }
  return format::Time{static_cast<int64_t>(0 - whole), fraction};
}

}  // namespace tfs::dump
