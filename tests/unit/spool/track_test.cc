#include "lib/spool/track.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::spool;
using format::RecordType;

TEST_CASE("any number may come first, and from there on none is left out and none comes twice") {
  Track track;
  track.begin(test::epoch_of(1));
  CHECK_FALSE(track.has_position());
  CHECK(track.take({500, 500}, RecordType::kWrite).ok());
  CHECK(track.due() == 501);
  CHECK_FALSE(track.take({502, 502}, RecordType::kWrite).ok());
  CHECK_FALSE(track.take({500, 500}, RecordType::kWrite).ok());
  CHECK(track.take({501, 510}, RecordType::kGap).ok());
  CHECK(track.position() == format::Position{test::epoch_of(1), 510});
}

TEST_CASE("behind END comes nothing but another epoch") {
  Track track;
  track.begin(test::epoch_of(1));
  CHECK(track.take({1, 1}, RecordType::kEnd).ok());
  CHECK(track.has_ended());
  CHECK_FALSE(track.take({2, 2}, RecordType::kWrite).ok());
  track.begin(test::epoch_of(2));
  CHECK_FALSE(track.has_ended());
  CHECK(track.take({1, 1}, RecordType::kWrite).ok());
}

TEST_CASE("a HELLO of another version is for another program") {
  format::Hello hello;
  hello.epoch = test::epoch_of(1);
  hello.version = 2;
  test::Bytes bytes = test::encode({}, hello);
  Result<format::Epoch> epoch = spool::epoch_of(test::frame_at(bytes));
  CHECK_FALSE(epoch.ok());
  CHECK(epoch.error().kind == Kind::kMismatch);
}

TEST_CASE("numbers that cannot be are refused") {
  for (auto [first, last] : {std::pair<uint64_t, uint64_t>{0, 5}, {6, 5}}) {
    test::Bytes gap = test::encode({last, 0, 0}, format::Gap{first, {}});
    CHECK_FALSE(span_of(test::frame_at(gap)).ok());
  }
  test::Bytes zero = test::raw_frame(999, 0, {});
  CHECK_FALSE(span_of(test::frame_at(zero)).ok());
}
