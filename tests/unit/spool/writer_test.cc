#include "lib/spool/writer.h"

#include "tests/unit/spool/fixture.h"

using namespace tfs;
using namespace tfs::spool;
using namespace tfs::spool::test;

namespace {

// Frames of a whole stream, taken apart.
struct Parsed {
  std::vector<std::pair<uint64_t, uint64_t>> spans;  // first and last numbers
  Status status;
};

Parsed parse(const Bytes& stream) {
  Parsed out;
  out.status = tfs::test::read_whole(stream).status;
  std::vector<size_t> starts = tfs::test::frame_starts(stream);
  for (size_t i = 0; i + 1 < starts.size(); i++) {
    format::Frame frame = tfs::test::frame_at(ByteView(stream).subspan(starts[i]));
    if (frame.header.type == format::RecordType::kHello) continue;
    Span span = span_of(frame).value();
    out.spans.emplace_back(span.first, span.last);
  }
  return out;
}

}  // namespace

TEST_CASE("what comes in comes out") {
  for (uint64_t seed = 1; seed <= 10; seed++) {
    Spool spool;
    spool.settings.segment_bytes = seed % 2 == 0 ? 1 : 5000;
    Bytes stream = tfs::test::random_stream(seed, 300);
    CHECK(spool.feed(stream).value());
    CHECK(spool.read().value() == stream);
    CHECK(spool.segments().size() > 5);
  }
}

TEST_CASE("each segment is a valid stream that begins with its epoch's HELLO and the number in its name") {
  Spool spool;
  spool.settings.segment_bytes = 1000;
  CHECK(spool.feed(hello(1) + frames(1, 100) + end(101)).value());
  for (const Segment& s : spool.listed()) {
    Bytes bytes = spool.load(to_text(s.name));
    tfs::test::Reading reading = tfs::test::read_whole(bytes);
    CHECK(reading.good.size() == bytes.size());
    CHECK(parse(bytes).spans.front().first == s.name.first);
    CHECK(s.name.epoch == epoch(1));
  }
}

TEST_CASE("the input may come in pieces of any size") {
  Bytes stream = hello(1) + frames(1, 9, 30) + end(10);
  for (size_t piece : {size_t{1}, size_t{3}, size_t{31}, size_t{100}}) {
    Spool spool;
    Pipe pipe;
    Intake in(pipe.fd());
    for (size_t at = 0; at < stream.size(); at += piece) {
      pipe.put(ByteView(stream).subspan(at, std::min(piece, stream.size() - at)));
      REQUIRE(spool.take(in, at == 0).ok());
    }
    CHECK(spool.read().value() == stream);
  }
}

// Kept by the pipe or by the spool, each byte is in exactly one of them.
TEST_CASE("a writer that is killed anywhere is continued by the next one on the same pipe") {
  Bytes stream = hello(1) + frames(1, 3) + hello(2) + frames(1, 2) + hello(2) + frames(3, 3) + end(4);
  for (size_t cut = 0; cut <= stream.size(); cut++) {
    Spool spool;
    spool.settings.segment_bytes = cut % 3 == 0 ? 1 : 1 << 20;
    Pipe pipe;
    {
      Intake in(pipe.fd());
      pipe.put(ByteView(stream).first(cut));
      REQUIRE(spool.take(in, true).ok());
      spool.kill();
    }
    Intake in(pipe.fd());
    pipe.put(ByteView(stream).subspan(cut));
    pipe.close();
    Result<Writer::Step> step = spool.take(in, true, Beginning::kAnywhere);
    REQUIRE_MESSAGE(step.ok(), "cut at " << cut << ": " << (step.ok() ? "" : step.error().message()));
    REQUIRE(spool.writer().finish_input().ok());
    Bytes held = spool.read().value();
    CHECK(tfs::test::read_whole(held).status.ok());
    // Where it was killed at the end of a segment's frame, HELLO of the same epoch is all that may be missing: it says nothing.
    CHECK((held == stream || held == hello(1) + frames(1, 3) + hello(2) + frames(1, 3) + end(4)));
  }
}

// They lie in the segment as they came, for the writer was killed before it could look at them.
TEST_CASE("frames behind a HELLO that came again are put in their place by the next writer, too") {
  Bytes again = hello(1) + frames(3, 8) + hello(1) + frames(7, 8) + end(9);
  for (size_t cut = 0; cut <= again.size(); cut++) {
    Spool spool;
    Pipe pipe;
    Intake in(pipe.fd());
    pipe.put(hello(1) + frames(1, 5));
    REQUIRE(spool.take(in, true).ok());
    spool.kill();
    std::string newest = spool.segments().back();
    Bytes taken(again.begin(), again.begin() + static_cast<ptrdiff_t>(cut));
    spool.store(newest, spool.load(newest) + taken);
    pipe.put(ByteView(again).subspan(cut));
    pipe.close();
    Result<Writer::Step> step = spool.take(in, true, Beginning::kAnywhere);
    REQUIRE_MESSAGE(step.ok(), "cut at " << cut << ": " << (step.ok() ? "" : step.error().message()));
    REQUIRE(spool.writer().finish_input().ok());
    Parsed parsed = parse(spool.read().value());
    CHECK(parsed.status.ok());
    REQUIRE(parsed.spans.size() == 9);
    for (uint64_t seq = 1; seq <= 9; seq++) CHECK(parsed.spans[seq - 1] == std::pair(seq, seq));
  }
}

TEST_CASE("what is held can be read while an input's place is not known yet, also from a writer behind a killed one") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 5)).ok());
  Place before = spool.writer().end().place;
  Pipe pipe;
  Intake in(pipe.fd());
  pipe.put(hello(1) + frames(4, 5));
  REQUIRE(spool.take(in, true).ok());
  for (int starts = 0; starts < 3; starts++) {
    CHECK(std::filesystem::exists(spool.path(kIncoming)));
    CHECK(spool.writer().end().place == before);
    CHECK(spool.read().value() == hello(1) + frames(1, 5));
    REQUIRE(spool.open().ok());
  }
}

TEST_CASE("a newest segment that was cut at any byte is good up to its last whole frame, and the spool goes on there") {
  Bytes stream = hello(1) + frames(1, 6);
  std::vector<size_t> starts = tfs::test::frame_starts(stream);
  for (size_t cut = 0; cut < stream.size(); cut++) {
    Spool spool;
    REQUIRE(spool.feed(stream).ok());
    spool.kill();
    spool.store(spool.segments().back(), ByteView(stream).first(cut));
    REQUIRE(spool.open().ok());
    size_t whole = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), cut) - starts.begin()) - 1;
    uint64_t held = whole == 0 ? 0 : whole - 1;
    CHECK(spool.writer().position().seq == held);
    REQUIRE(spool.feed(hello(1) + frames(held + 1, 8) + end(9)).ok());
    CHECK(spool.read().value() == hello(1) + frames(1, 8) + end(9));
  }
}

TEST_CASE("frames that are held already are passed over") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 50)).ok());
  SUBCASE("and then it goes on") { CHECK(spool.feed(hello(1) + frames(20, 80) + end(81)).value()); }
  SUBCASE("in any number") {
    REQUIRE(spool.feed(hello(1) + frames(1, 80)).ok());
    REQUIRE(spool.feed(hello(1) + frames(30, 31)).ok());
    REQUIRE(spool.feed(hello(1)).ok());
    CHECK(spool.feed(hello(1) + frames(5, 80) + end(81)).value());
    CHECK(spool.feed(hello(1) + frames(5, 80) + end(81)).value());
  }
  CHECK(spool.read().value() == hello(1) + frames(1, 80) + end(81));
}

TEST_CASE("frames that are held already are passed over behind each HELLO") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 50)).ok());
  CHECK(spool.feed(hello(1) + frames(20, 30) + hello(1) + frames(40, 60) + hello(1) + frames(55, 80) + end(81)).value());
  Parsed parsed = parse(spool.read().value());
  CHECK(parsed.status.ok());
  REQUIRE(parsed.spans.size() == 81);
  for (uint64_t seq = 1; seq <= 81; seq++) CHECK(parsed.spans[seq - 1].first == seq);
}

TEST_CASE("many frames that are held already do not fill the disk") {
  Spool spool;
  Bytes held = hello(1) + frames(1, 40, 1 << 20);
  REQUIRE(spool.feed(held).ok());
  REQUIRE(spool.feed(hello(1) + frames(1, 39, 1 << 20)).ok());
  CHECK_FALSE(std::filesystem::exists(spool.path(kIncoming)));
  CHECK(spool.feed(held + end(41)).value());
  CHECK(spool.read().value() == held + end(41));
}

TEST_CASE("frames that are lost between two inputs leave a GAP") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 10)).ok());
  CHECK(spool.feed(hello(1) + frames(15, 20) + end(21)).value());
  Parsed parsed = parse(spool.read().value());
  CHECK(parsed.status.ok());
  CHECK(parsed.spans[10] == std::pair<uint64_t, uint64_t>(11, 14));
  CHECK(parsed.spans.size() == 10 + 1 + 7);
}

TEST_CASE("a GAP of which one part is held is put in for the other part") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 10)).ok());
  CHECK(spool.feed(hello(1) + gap(5, 14) + frames(15, 20) + end(21)).value());
  Parsed parsed = parse(spool.read().value());
  CHECK(parsed.status.ok());
  CHECK(parsed.spans[10] == std::pair<uint64_t, uint64_t>(11, 14));
}

TEST_CASE("frames that are missing inside an input are damage") {
  Spool spool;
  Result<bool> fed = spool.feed(hello(1) + frames(1, 10) + frames(12, 20));
  CHECK_FALSE(fed.ok());
  CHECK(fed.error().kind == Kind::kCorrupt);
  CHECK(spool.read().value() == hello(1) + frames(1, 10));
}

TEST_CASE("a HELLO in the middle may go on elsewhere, as after a new connection") {
  Spool spool;
  CHECK(spool.feed(hello(1) + frames(1, 10) + hello(1) + frames(8, 12) + hello(1) + frames(14, 15) + end(16)).value());
  Parsed parsed = parse(spool.read().value());
  CHECK(parsed.status.ok());
  CHECK(parsed.spans[12] == std::pair<uint64_t, uint64_t>(13, 13));
  CHECK(parsed.spans.back().first == 16);
}

TEST_CASE("epochs follow each other") {
  Spool spool;
  Bytes all = hello(1) + frames(1, 10) + end(11) + hello(2) + frames(1, 5) + hello(3) + frames(100, 105) + end(106);
  CHECK(spool.feed(all).value());
  CHECK(spool.read().value() == all);
  CHECK(spool.segments().size() == 3);
  CHECK(spool.writer().position() == format::Position{epoch(3), 106});
  CHECK(spool.feed(hello(4) + end(1)).value());
  CHECK(spool.read().value() == all + hello(4) + end(1));
}

TEST_CASE("an epoch without frames leaves no trace behind the next one") {
  Spool spool;
  for (uint8_t n = 1; n < 9; n++) REQUIRE(spool.feed(hello(n)).ok());
  CHECK(spool.segments().size() == 1);
  CHECK(spool.feed(hello(9) + frames(1, 2) + end(3)).value());
  CHECK(spool.read().value() == hello(9) + frames(1, 2) + end(3));
}

TEST_CASE("reconnecting without anything new leaves no segments behind") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 5)).ok());
  for (int i = 0; i < 9; i++) REQUIRE(spool.feed(hello(1)).ok());
  CHECK(spool.segments().size() == 1);
}

TEST_CASE("an epoch that was left cannot be continued") {
  Spool spool;
  REQUIRE(spool.feed(hello(1) + frames(1, 10) + hello(2) + frames(1, 5)).ok());
  SUBCASE("but what is held of it is passed over") {
    CHECK(spool.feed(hello(1) + frames(3, 10) + hello(2) + frames(1, 9) + end(10)).value());
    CHECK(spool.read().value() == hello(1) + frames(1, 10) + hello(2) + frames(1, 9) + end(10));
  }
  SUBCASE("more of it is refused") {
    Result<bool> fed = spool.feed(hello(1) + frames(3, 11));
    CHECK_FALSE(fed.ok());
    CHECK(fed.error().kind == Kind::kMismatch);
  }
}

TEST_CASE("nothing of a bad frame is kept") {
  Bytes stream = hello(1) + frames(1, 8);
  std::vector<size_t> starts = tfs::test::frame_starts(stream);
  for (size_t at = 0; at < stream.size(); at++) {
    Spool spool;
    Bytes bad = stream;
    bad[at] ^= std::byte{4};
    Result<bool> fed = spool.feed(bad);
    size_t good = *(std::upper_bound(starts.begin(), starts.end(), at) - 1);
    if (fed.ok()) CHECK_FALSE(*fed);  // a size that grew: it breaks off
    else CHECK((fed.error().kind == Kind::kCorrupt || fed.error().kind == Kind::kMismatch));
    Bytes held = spool.read().value();
    CHECK(held == tfs::test::copy_of(ByteView(stream).first(good)));
    for (const std::string& name : spool.segments()) CHECK(spool.load(name).size() == good);
  }
}

TEST_CASE("what is no stream is refused, and leaves a spool as it was") {
  Spool spool;
  for (const Bytes& input : {frames(1, 3), Bytes(1000), Bytes(1000, std::byte{'x'}), end(1)}) {
    CHECK_FALSE(spool.feed(input).ok());
    CHECK_FALSE(spool.feed(input, Beginning::kAnywhere).ok());
    CHECK(spool.segments().empty());
  }
  REQUIRE(spool.feed(hello(1) + frames(1, 3)).ok());
  for (const Bytes& input : {Bytes(1000), frames(7, 9), Bytes(1000, std::byte{'x'})}) {
    CHECK_FALSE(spool.feed(input).ok());
    CHECK_FALSE(spool.feed(input, Beginning::kAnywhere).ok());
  }
  CHECK(spool.read().value() == hello(1) + frames(1, 3));
}

TEST_CASE("an input that ends is not broken off where END came, and only there") {
  Spool spool;
  CHECK_FALSE(spool.feed({}).value());
  CHECK_FALSE(spool.feed(hello(1)).value());
  CHECK_FALSE(spool.feed(hello(1) + frames(1, 3)).value());
  Bytes torn = hello(1) + frames(4, 5);
  torn.resize(torn.size() - 7);
  CHECK_FALSE(spool.feed(torn).value());
  CHECK(spool.feed(hello(1) + frames(5, 5) + end(6)).value());
  CHECK(spool.feed(hello(1)).value());
  CHECK_FALSE(spool.feed(hello(1) + frames(7, 7)).ok());
  CHECK_FALSE(spool.feed(hello(2) + frames(1, 1)).value());
}

TEST_CASE("only one writer at a time") {
  Spool spool;
  REQUIRE(spool.open().ok());
  Result<std::unique_ptr<Writer>> second = Writer::open(spool.dir(), spool.settings);
  CHECK_FALSE(second.ok());
  CHECK(second.error().message().find("in use by process " + std::to_string(::getpid())) != std::string::npos);
  CHECK(WriterProbe(spool.dir()).is_running());
  spool.kill();
  CHECK_FALSE(WriterProbe(spool.dir()).is_running());
  CHECK(spool.open().ok());
}

TEST_CASE("damage with good frames behind it is not cut off") {
  Spool spool;
  Bytes stream = hello(1) + frames(1, 30) + end(31);
  REQUIRE(spool.feed(stream).ok());
  spool.kill();
  std::string name = spool.segments().back();
  Bytes bad = stream;
  bad[stream.size() / 2] ^= std::byte{1};
  spool.store(name, bad);
  Status status = spool.open();
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().kind == Kind::kCorrupt);
  CHECK(status.error().message().find(name) != std::string::npos);
  CHECK(spool.load(name) == bad);
}

TEST_CASE("a bad frame at the very end is cut off") {
  Spool spool;
  Bytes stream = hello(1) + frames(1, 30);
  REQUIRE(spool.feed(stream).ok());
  spool.kill();
  Bytes bad = stream;
  bad.back() ^= std::byte{1};
  spool.store(spool.segments().back(), bad);
  REQUIRE(spool.open().ok());
  CHECK(spool.read().value() == hello(1) + frames(1, 29));
}

// What the machine loses with its power is the order in which files got to the disk.
TEST_CASE("after a power cut the spool ends where the first loss is") {
  Spool spool;
  spool.settings.segment_bytes = 1000;
  spool.settings.sync.when = SyncPolicy::When::kNever;  // no segment is marked as being on disk
  REQUIRE(spool.feed(hello(1) + frames(1, 100)).ok());
  REQUIRE(spool.writer().close().ok());
  spool.kill();
  std::vector<std::string> names = spool.segments();
  REQUIRE(names.size() > 6);
  spool.store(kLockFile, as_bytes("1 another-boot\n"));
  SUBCASE("a segment has lost its end") {
    Bytes cut = spool.load(names[3]);
    std::fill(cut.begin() + 500, cut.end(), std::byte{0});
    spool.store(names[3], cut);
    REQUIRE(spool.open().ok());
    CHECK(spool.segments().size() == 4);
  }
  SUBCASE("a segment has lost everything") {
    spool.store(names[3], {});
    REQUIRE(spool.open().ok());
    CHECK(spool.segments().size() == 3);
  }
  uint64_t held = spool.writer().position().seq;
  CHECK(held < 60);
  CHECK(spool.read().value() == hello(1) + frames(1, held));
  CHECK(spool.feed(hello(1) + frames(held + 1, 120) + end(121)).value());
  CHECK(spool.read().value() == hello(1) + frames(1, 120) + end(121));
}

TEST_CASE("segments that are on disk are marked, and only they") {
  for (auto when : {SyncPolicy::When::kNever, SyncPolicy::When::kSegment, SyncPolicy::When::kInterval, SyncPolicy::When::kEach}) {
    Spool spool;
    spool.settings.segment_bytes = 1000;
    spool.settings.sync = {when, 1};
    REQUIRE(spool.feed(hello(1) + frames(1, 100)).ok());
    REQUIRE(spool.writer().close().ok());
    for (const Segment& s : spool.listed()) CHECK(s.is_finished == (when != SyncPolicy::When::kNever));
    CHECK(spool.feed(hello(1) + frames(101, 102)).ok());
    CHECK(spool.read().value() == hello(1) + frames(1, 102));
  }
}
