#include "lib/format/position.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;

namespace {
constexpr std::string_view kText = "000102030405060708090a0b0c0d0e0f";
}

TEST_CASE("an epoch is 32 hexadecimal digits") {
  CHECK(to_text(test::epoch_of(0)) == kText);
  CHECK(parse_epoch(kText).value() == test::epoch_of(0));
  CHECK(parse_epoch("ffffffffffffffffffffffffffffffff").value() != Epoch{});
}

TEST_CASE("what is not 32 hexadecimal digits is no epoch") {
  for (std::string text :
       {"", "0", "000102030405060708090a0b0c0d0e0", "000102030405060708090a0b0c0d0e0f0", "000102030405060708090A0B0C0D0E0F",
        "000102030405060708090a0b0c0d0e0g", " 00102030405060708090a0b0c0d0e0f"}) {
    Result<Epoch> epoch = parse_epoch(text);
    REQUIRE(!epoch.ok());
    CHECK(epoch.error().kind == Kind::kUsage);
  }
}

TEST_CASE("only the epoch of zeros is none") {
  CHECK(Epoch{}.is_none());
  for (size_t i = 0; i < 16; i++) {
    Epoch epoch;
    epoch.bytes[i] = 1;
    CHECK(!epoch.is_none());
  }
}

TEST_CASE("a position is an epoch, a colon and a number") {
  for (uint64_t seq : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
    Position position{test::epoch_of(7), seq};
    CHECK(parse_position(to_text(position)).value() == position);
  }
  CHECK(to_text(Position{test::epoch_of(0), 42}) == std::string(kText) + ":42");
}

TEST_CASE("what is not that is no position") {
  std::string epoch(kText);
  const std::string wrong[] = {"",
                               epoch,
                               epoch + ":",
                               epoch + ":-1",
                               epoch + ":+1",
                               epoch + ": 1",
                               epoch + ":1 ",
                               epoch + ":1x",
                               ":1",
                               "x:1",
                               epoch + "::1",
                               epoch + ":18446744073709551616"};
  for (const std::string& text : wrong) {
    CAPTURE(text);
    Result<Position> position = parse_position(text);
    REQUIRE(!position.ok());
    CHECK(position.error().kind == Kind::kUsage);
  }
}
