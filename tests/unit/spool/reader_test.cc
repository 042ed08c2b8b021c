#include "lib/spool/reader.h"

#include "tests/unit/spool/fixture.h"

using namespace tfs;
using namespace tfs::spool;
using namespace tfs::spool::test;

namespace {

Kind kind_of(const Result<Bytes>& result) {
  REQUIRE_FALSE(result.ok());
  return result.error().kind;
}

}  // namespace

TEST_CASE("a reader begins behind any position that is held") {
  Spool spool;
  spool.settings.segment_bytes = 700;
  REQUIRE(spool.feed(hello(1) + frames(1, 40) + end(41) + hello(2) + frames(1, 10)).ok());
  Bytes second = hello(2) + frames(1, 10);
  for (uint64_t seq = 0; seq <= 40; seq++) {
    CHECK(spool.read_from({epoch(1), seq}).value() == hello(1) + frames(seq + 1, 40) + end(41) + second);
  }
  CHECK(spool.read_from({epoch(1), 41}).value() == hello(1) + second);
  for (uint64_t seq = 0; seq <= 10; seq++) CHECK(spool.read_from({epoch(2), seq}).value() == hello(2) + frames(seq + 1, 10));
}

TEST_CASE("a position that is not held is refused") {
  Spool spool;
  spool.settings.segment_bytes = 700;
  CHECK(kind_of(spool.read_from({epoch(1), 0})) == Kind::kMismatch);
  REQUIRE(spool.feed(hello(1) + frames(1, 40) + hello(2) + frames(5, 10) + gap(11, 20) + frames(21, 30)).ok());
  SUBCASE("of another epoch") { CHECK(kind_of(spool.read_from({epoch(3), 1})) == Kind::kMismatch); }
  SUBCASE("ahead") {
    CHECK(kind_of(spool.read_from({epoch(2), 31})) == Kind::kMismatch);
    CHECK(kind_of(spool.read_from({epoch(1), 41})) == Kind::kMismatch);
    CHECK(kind_of(spool.read_from({epoch(1), UINT64_MAX})) == Kind::kMismatch);
  }
  SUBCASE("before what came in first") {
    CHECK(kind_of(spool.read_from({epoch(2), 3})) == Kind::kMismatch);
    CHECK(spool.read_from({epoch(2), 4}).ok());
  }
  SUBCASE("inside a GAP") {
    CHECK(spool.read_from({epoch(2), 10}).value() == hello(2) + gap(11, 20) + frames(21, 30));
    for (uint64_t seq = 11; seq < 20; seq++) CHECK(kind_of(spool.read_from({epoch(2), seq})) == Kind::kMismatch);
    CHECK(spool.read_from({epoch(2), 20}).value() == hello(2) + frames(21, 30));
  }
  SUBCASE("trimmed") {
    std::vector<std::string> names = spool.segments();
    std::filesystem::remove(spool.path(names[0]));
    uint64_t first = parse_segment_name(names[1])->first;
    Result<Bytes> trimmed = spool.read_from({epoch(1), first - 2});
    CHECK(kind_of(trimmed) == Kind::kMismatch);
    CHECK(trimmed.error().message().find("trimmed") != std::string::npos);
    CHECK(spool.read_from({epoch(1), first - 1}).ok());
  }
}

TEST_CASE("a follower gets all, a HELLO once") {
  Spool spool;
  spool.settings.segment_bytes = 300;
  Reader reader = Reader::from_segment(spool.dir()).value();
  CHECK(Spool::read_all(reader).value().empty());
  Pipe pipe;
  Intake in(pipe.fd());
  pipe.put(hello(1));
  REQUIRE(spool.take(in, true).ok());
  Bytes got = Spool::read_all(reader).value();
  CHECK(got == hello(1));
  for (uint64_t seq = 1; seq <= 30; seq++) {
    pipe.put(frame(seq));
    REQUIRE(spool.take(in, false).ok());
    append(got, Spool::read_all(reader).value());
    CHECK(got == hello(1) + frames(1, seq));
    CHECK(reader.position() == format::Position{epoch(1), seq});
  }
  CHECK(spool.segments().size() > 3);
}

TEST_CASE("what is not committed is not given out while a writer runs, and what is good is when it is dead") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 3)).ok());
  std::string name = spool.segments().back();
  spool.store(name, spool.load(name) + frames(4, 4) + Bytes(40, std::byte{'x'}));
  CHECK(spool.read().value() == hello(1) + frames(1, 3));
  spool.kill();
  CHECK(spool.read().value() == hello(1) + frames(1, 4));
}

TEST_CASE("what the last writer had not committed is a stretch of its own") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 3)).ok());
  uint64_t mark = spool.writer().end().place.offset;
  std::string name = spool.segments().back();
  spool.store(name, spool.load(name) + frames(4, 6));
  spool.kill();
  Reader reader = Reader::from_segment(spool.dir()).value();
  std::vector<uint64_t> ends;
  while (std::optional<Stretch> stretch = reader.next().value()) ends.push_back(stretch->offset + stretch->size);
  CHECK(ends == std::vector<uint64_t>{hello(1).size(), mark, spool.load(name).size()});
}

TEST_CASE("nothing is given out while a writer runs and nobody knows what it has committed") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 3)).ok());
  Bytes end = spool.load(kEndFile);
  spool.store(kEndFile, {});
  Reader reader = Reader::from_segment(spool.dir()).value();
  CHECK(Spool::read_all(reader).value().empty());
  SUBCASE("until that is there") { spool.store(kEndFile, end); }
  SUBCASE("or the writer is dead") { spool.kill(); }
  CHECK(Spool::read_all(reader).value() == hello(1) + frames(1, 3));
}

TEST_CASE("a flipped bit is never given out, and is an error where it is reached") {
  Bytes stream = hello(1) + frames(1, 12);
  std::vector<size_t> starts = tfs::test::frame_starts(stream);
  Spool spool;
  REQUIRE(spool.feed(stream).ok());
  REQUIRE(spool.feed(hello(2) + frames(1, 1)).ok());
  std::string name = spool.segments().front();
  for (size_t at = 0; at < stream.size(); at++) {
    Bytes bad = stream;
    bad[at] ^= std::byte{16};
    spool.store(name, bad);
    Reader reader = Reader::from_segment(spool.dir()).value();
    Bytes got;
    Status status;
    while (status) {
      Result<std::optional<Stretch>> stretch = reader.next();
      if (!stretch) status = std::move(stretch).error();
      else if (!*stretch) break;
      else append(got, ByteView(bad).subspan((*stretch)->offset, (*stretch)->size));
    }
    REQUIRE_FALSE(status.ok());
    CHECK((status.error().kind == Kind::kCorrupt || status.error().kind == Kind::kMismatch));
    size_t good = *(std::upper_bound(starts.begin(), starts.end(), at) - 1);
    CHECK(got == tfs::test::copy_of(ByteView(stream).first(good)));
    CHECK(status.error().message().find(name + " is damaged at byte " + std::to_string(good)) != std::string::npos);
  }
}

TEST_CASE("a segment in the middle that was cut is damage") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 10) + hello(2) + frames(1, 3)).ok());
  std::string name = spool.segments().front();
  Bytes bytes = spool.load(name);
  spool.store(name, ByteView(bytes).first(bytes.size() - 5));
  CHECK(kind_of(spool.read()) == Kind::kCorrupt);
}

TEST_CASE("a reader that was there sees what was dropped before it came as a GAP") {
  Spool spool;
  spool.settings.segment_bytes = 300;
  REQUIRE(spool.feed(hello(1) + frames(1, 50)).ok());
  std::vector<std::string> names = spool.segments();
  Reader reader = Reader::from_segment(spool.dir()).value();
  REQUIRE(reader.next().ok());  // HELLO
  for (size_t i = 0; i < 4; i++) std::filesystem::remove(spool.path(names[i]));
  Bytes got = hello(1) + Spool::read_all(reader).value();
  uint64_t last = parse_segment_name(names[1])->first - 1, next = parse_segment_name(names[4])->first;
  tfs::test::Reading reading = tfs::test::read_whole(got);
  CHECK(reading.good == got);
  Bytes wanted_front = hello(1) + frames(1, last), wanted_back = frames(next, 50);
  CHECK(std::equal(wanted_front.begin(), wanted_front.end(), got.begin()));
  CHECK(std::equal(wanted_back.rbegin(), wanted_back.rend(), got.rbegin()));
  format::Frame lost = tfs::test::frame_at(ByteView(got).subspan(wanted_front.size()));
  CHECK(lost.header.type == format::RecordType::kGap);
  CHECK(span_of(lost).value().first == last + 1);
  CHECK(span_of(lost).value().last == next - 1);
}

TEST_CASE("a reader goes on from the place that it had") {
  Spool spool;
  spool.settings.segment_bytes = 500;
  REQUIRE(spool.feed(hello(1) + frames(1, 30)).ok());
  Place place = spool.writer().end().place;
  REQUIRE(spool.feed(hello(1) + frames(31, 60)).ok());
  Reader reader = Reader::from_place(spool.dir(), place).value();
  CHECK(Spool::read_all(reader).value() == hello(1) + frames(31, 60));
  Reader at_end = Reader::from_place(spool.dir(), spool.writer().end().place).value();
  CHECK(Spool::read_all(at_end).value().empty());
  REQUIRE(spool.feed(hello(2) + frames(1, 2)).ok());
  CHECK(Spool::read_all(at_end).value() == hello(2) + frames(1, 2));
}

TEST_CASE("a place that lies ahead of the spool is refused") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 30)).ok());
  Place place = spool.writer().end().place;
  place.position.seq = 40;
  CHECK_FALSE(Reader::from_place(spool.dir(), place).ok());
}

TEST_CASE("a foreign or newer spool is not opened") {
  TempFolder folder;
  CHECK_FALSE(Dir::open(folder.path() + "/none").ok());
  std::ofstream(folder.path() + "/letter") << "dear";
  Result<Dir> other = Dir::make(folder.path());
  CHECK_FALSE(other.ok());
  CHECK(other.error().kind == Kind::kUsage);
  std::filesystem::remove(folder.path() + "/letter");
  REQUIRE(Dir::make(folder.path()).ok());
  REQUIRE(Dir::make(folder.path()).ok());
  std::ofstream(folder.path() + "/format") << "tfs-spool 2\n";
  Result<Dir> newer = Dir::open(folder.path());
  CHECK_FALSE(newer.ok());
  CHECK(newer.error().kind == Kind::kUsage);
  CHECK(newer.error().message().find("tfs-spool 2") != std::string::npos);
}

TEST_CASE("making a spool can be broken off anywhere and done again") {
  for (const char* name : {kLockFile, kEndFile, "format.new"}) {
    TempFolder folder;
    std::ofstream(folder.path() + "/" + name) << "";
    CHECK(Dir::make(folder.path()).ok());
  }
}
