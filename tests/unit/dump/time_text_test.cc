#include "lib/dump/time_text.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::dump;
using format::Time;

namespace {

std::string text_of(Time time) {
  std::string out;
  append_time(time, out);
  return out;
}

}  // namespace

TEST_CASE("a time is its value in seconds") {
  const std::pair<Time, std::string_view> times[] = {
      {{0, 0}, "0.000000000"},
      {{0, 1}, "0.000000001"},
      {{1'700'000'000, 999'999'999}, "1700000000.999999999"},
      {{-1, 0}, "-1.000000000"},
      {{-1, 500'000'000}, "-0.500000000"},
      {{-1, 999'999'999}, "-0.000000001"},
      {{-2, 1}, "-1.999999999"},
      {{INT64_MAX, 999'999'999}, "9223372036854775807.999999999"},
      {{INT64_MIN, 0}, "-9223372036854775808.000000000"},
      {{INT64_MIN, 1}, "-9223372036854775807.999999999"},
  };
  for (const auto& [time, text] : times) {
    CHECK(text_of(time) == text);
    Result<Time> parsed = parse_time(text);
    REQUIRE(parsed.ok());
    CHECK(*parsed == time);
  }
}

TEST_CASE("all times come back") {
  test::RecordMaker maker(1);
  for (int i = 0; i < 5000; i++) {
    Time time;
    maker.time("", time);
    Result<Time> parsed = parse_time(text_of(time));
    REQUIRE(parsed.ok());
    CHECK(*parsed == time);
  }
}

TEST_CASE("what is not such a number is refused") {
  for (std::string_view text : {"",
                                "-",
                                ".",
                                "0",
                                "0.",
                                "0.0",
                                "0.00000000",
                                "0.0000000000",
                                ".000000000",
                                "00.000000000",
                                "01.000000000",
                                "+1.000000000",
                                "-0.000000000",
                                "--1.000000000",
                                "1,000000000",
                                "1.00000000x",
                                "1e9.000000000",
                                " 1.000000000",
                                "1.000000000 ",
                                "9223372036854775808.000000000",
                                "-9223372036854775808.000000001",
                                "-9223372036854775809.000000000",
                                "18446744073709551616.000000000",
                                "-18446744073709551615.999999999",
                                "1.-00000000"}) {
    CAPTURE(text);
    CHECK(!parse_time(text).ok());
  }
}
