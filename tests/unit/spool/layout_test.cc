#include "lib/spool/layout.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::spool;

namespace {

const SegmentName kName{7, test::epoch_of(0x10), 0x1234};
constexpr std::string_view kNameText = "0000000000000007-101112131415161718191a1b1c1d1e1f-0000000000001234.tfs";
const PlaceMark kPlace{{7, 0x12340, {test::epoch_of(0x10), 4660}}, Mark::kOpen};
constexpr std::string_view kPlaceText =

    "0000000000000007 0000000000012340 101112131415161718191a1b1c1d1e1f"
    ":00000000000000004660 open 869df19e\n";

}  // namespace

TEST_CASE("a segment's name tells its order, its epoch and its first number") {
  CHECK(to_text(kName) == kNameText);
  CHECK(parse_segment_name(kNameText) == kName);
  SegmentName largest{UINT64_MAX, test::epoch_of(0xf0), UINT64_MAX};
  CHECK(parse_segment_name(to_text(largest)) == largest);
}

TEST_CASE("names sort as the segments follow each other") {
  CHECK(to_text(SegmentName{9, kName.epoch, 1}) < to_text(SegmentName{10, kName.epoch, 0}));
}

TEST_CASE("no other file is taken for a segment") {
  std::string text(kNameText);
  for (size_t i = 0; i < text.size(); i++) {
    CHECK_FALSE(parse_segment_name(text.substr(0, i)));
    std::string other = text;
    other[i] = 'x';
    CHECK_FALSE(parse_segment_name(other));
  }
  CHECK_FALSE(parse_segment_name(text + "~"));
  CHECK_FALSE(parse_segment_name("0000000000000007-101112131415161718191A1b1c1d1e1f-0000000000001234.tfs"));
  CHECK_FALSE(parse_segment_name("-000000000000007-101112131415161718191a1b1c1d1e1f-0000000000001234.tfs"));
}

TEST_CASE("a place is a line of constant size") {
  CHECK(to_text(kPlace) == kPlaceText);
  CHECK(kPlaceText.size() == kPlaceLine);
  CHECK(parse_place(kPlaceText) == kPlace);
  for (Mark mark : {Mark::kOpen, Mark::kDone, Mark::kGone}) {
    PlaceMark most{{UINT64_MAX, UINT64_MAX, {test::epoch_of(0xf0), UINT64_MAX}}, mark};
    CHECK(to_text(most).size() == kPlaceLine);
    CHECK(parse_place(to_text(most)) == most);
  }
}

TEST_CASE("a place that is cut or damaged is none") {
  std::string text(kPlaceText);
  for (size_t i = 0; i < text.size(); i++) {
    CHECK_FALSE(parse_place(text.substr(0, i)));
    std::string other = text;
    other[i] = 'x';
    CHECK_FALSE(parse_place(other));
  }
  CHECK_FALSE(parse_place(std::string(kPlaceLine, '\0')));
}

TEST_CASE("a reader's name is a plain file name") {
  for (const char* name : {"a", "mirror-1", "a.b_c", "7"}) CHECK(is_reader_name(name));
  for (const char* name : {"", ".", "..", ".a", "a/b", "a b", "\xc3\xa4"}) CHECK_FALSE(is_reader_name(name));
  CHECK(is_reader_name(std::string(64, 'a')));
  CHECK_FALSE(is_reader_name(std::string(65, 'a')));
}
