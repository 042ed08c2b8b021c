#include "lib/spool/room.h"

#include <thread>

#include "tests/unit/spool/fixture.h"

using namespace tfs;
using namespace tfs::spool;
using namespace tfs::spool::test;

namespace {

uint64_t bytes_in(const Spool& spool) {
  uint64_t sum = 0;
  for (const Segment& s : spool.listed()) sum += s.size;
  return sum;
}

Place place_in(const Spool& spool, size_t segment) { return {spool.dir().segments().value().at(segment).name.index, 0, {}}; }

}  // namespace

TEST_CASE("no more is kept than allowed") {
  Spool spool;
  spool.settings.segment_bytes = 1000;
  spool.settings.limits.max_bytes = 5000;
  for (uint64_t seq = 1; seq < 500; seq += 50) {
    REQUIRE(spool.feed(hello(1) + frames(seq, seq + 49)).ok());
    CHECK(bytes_in(spool) <= 5000 + 200);
  }
  CHECK(spool.segments().size() >= 3);
}

TEST_CASE("what a reader holds stays") {
  Spool spool;
  spool.settings.segment_bytes = 1000;
  REQUIRE(spool.feed(hello(1) + frames(1, 100)).ok());
  std::vector<std::string> before = spool.segments();
  Registration reader = Registration::open(spool.dir(), "slow").value();
  REQUIRE(reader.store(place_in(spool, 4), Mark::kOpen).ok());
  Room room(spool.dir(), {1, 0, false});
  std::thread waits([&room] { CHECK(room.before_segment(1).ok()); });
  while (spool.segments().size() > before.size() - 4) ::usleep(1000);
  CHECK(spool.segments().front() == before[4]);
  // It waits until the reader is gone.
  ::usleep(20'000);
  CHECK(spool.segments().size() == before.size() - 4);
  REQUIRE(drop_reader(spool.dir(), "slow").ok());
  waits.join();
  CHECK(spool.segments().size() <= 2);
}

TEST_CASE("what is old goes, but never the newest segment") {
  Spool spool;
  spool.settings.segment_bytes = 1000;
  REQUIRE(spool.feed(hello(1) + frames(1, 100)).ok());
  std::vector<std::string> names = spool.segments();
  for (size_t i = 0; i < 4; i++) {
    timespec old[] = {{1000, 0}, {1000, 0}};
    REQUIRE(::utimensat(AT_FDCWD, spool.path(names[i]).c_str(), old, 0) == 0);
  }
  Room room(spool.dir(), {0, 3'600'000, false});
  REQUIRE(room.trim_by_age().ok());
  CHECK(spool.segments().front() == names[4]);
  Room strict(spool.dir(), {0, 1, false});
  ::usleep(1'100'000);
  REQUIRE(strict.trim_by_age().ok());
  CHECK(spool.segments() == std::vector<std::string>{names.back()});
}

TEST_CASE("a full disk drops the oldest only where that was asked for") {
  Spool spool;
  spool.settings.segment_bytes = 1000;
  REQUIRE(spool.feed(hello(1) + frames(1, 100)).ok());
  size_t before = spool.segments().size();
  Error full = system_error("test.room.full", ENOSPC, "unable to write");
  Room waits(spool.dir(), {0, 0, false});
  REQUIRE(waits.after_full(full).ok());
  CHECK(spool.segments().size() == before);
  Room drops(spool.dir(), {0, 0, true});
  REQUIRE(drops.after_full(full).ok());
  CHECK(spool.segments().size() == before - 1);
  Registration reader = Registration::open(spool.dir(), "r").value();
  REQUIRE(reader.store(place_in(spool, 0), Mark::kOpen).ok());
  REQUIRE(drops.after_full(full).ok());
  CHECK(spool.segments().size() == before - 1);
}

TEST_CASE("readers are listed, and dropped") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 10)).ok());
  CHECK(list_readers(spool.dir()).value().empty());
  {
    Registration a = Registration::open(spool.dir(), "a").value();
    Place place = spool.writer().end().place;
    REQUIRE(a.store(place, Mark::kOpen).ok());
    ReaderState listed = list_readers(spool.dir()).value().at(0);
    CHECK(listed.name == "a");
    CHECK(listed.is_reading);
    CHECK(listed.place.place == place);
    Result<Registration> second = Registration::open(spool.dir(), "a");
    CHECK_FALSE(second.ok());
  }
  CHECK_FALSE(list_readers(spool.dir()).value().at(0).is_reading);
  CHECK(Registration::open(spool.dir(), "a").value().before()->place == spool.writer().end().place);
  CHECK(drop_reader(spool.dir(), "a").ok());
  CHECK_FALSE(drop_reader(spool.dir(), "a").ok());
  CHECK_FALSE(drop_reader(spool.dir(), "../lock").ok());
  CHECK(list_readers(spool.dir()).value().empty());
}

TEST_CASE("what readers need begins with what may be under way behind them") {
  std::vector<Segment> segments;
  for (uint64_t index = 5; index <= 9; index++) segments.push_back({{index, {}, 1}, 100, true, 0});
  CHECK(segment_before(segments, {9, 50, {}}, 50) == 9);
  CHECK(segment_before(segments, {9, 50, {}}, 51) == 8);
  CHECK(segment_before(segments, {9, 50, {}}, 150) == 8);
  CHECK(segment_before(segments, {9, 50, {}}, 151) == 7);
  CHECK(segment_before(segments, {9, 50, {}}, 5000) == 5);
  CHECK(segment_before(segments, {12, 50, {}}, 51) == 9);

  std::string who;
  CHECK_FALSE(first_needed({}, segments, 60, who));
  PlaceMark nine{{9, 5, {}}, Mark::kOpen};
  CHECK(first_needed({{"x", nine, true}}, segments, 60, who) == 8);
  CHECK(who == "x");
  // One whose place cannot be read holds everything.
  CHECK(first_needed({{"x", nine, true}, {"y", {}, false}}, segments, 60, who) == 0);
  CHECK(who == "y");
}
