#include "lib/format/sequence.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;
using test::Bytes;

namespace {

Bytes hello(uint8_t epoch = 1) { return test::encode({}, test::hello_of(epoch)); }
Bytes sync(uint64_t seq) { return test::encode({seq, 1, 0}, Sync{0, "."}); }
Bytes gap(uint64_t first, uint64_t last) { return test::encode({last, 0, 0}, Gap{first, {}}); }
Bytes end(uint64_t seq) { return test::encode({seq, 0, 0}, End{}); }

// What a reader makes of these frames, one behind the other.
test::Reading read(std::initializer_list<Bytes> frames) {
  Bytes stream;
  for (const Bytes& frame : frames) test::append(stream, frame);
  return test::read_whole(stream);
}

void check_refused(const test::Reading& reading, size_t good, std::string_view why) {
  CHECK(reading.is(Kind::kCorrupt));
  CHECK(reading.frames == good);
  CHECK(reading.status.error().detail == why);
}

}  // namespace

TEST_CASE("numbers without holes from HELLO to END are a stream") {
  CHECK(read({hello(), sync(1), sync(2), sync(3), end(4)}).status.ok());
  CHECK(read({hello(), end(1)}).status.ok());
}

TEST_CASE("a stream begins with HELLO") {
  check_refused(read({sync(1), end(2)}), 0, "the stream does not begin with HELLO");
  check_refused(read({end(1)}), 0, "the stream does not begin with HELLO");
}

TEST_CASE("a reader that joins late comes in anywhere") {
  CHECK(read({hello(), sync(1000), sync(1001), end(1002)}).status.ok());
  CHECK(read({hello(), end(UINT64_MAX)}).status.ok());
}

TEST_CASE("a frame that is missing is seen") {
  check_refused(read({hello(), sync(1), sync(3), end(4)}), 2, "frame 3 where 2 is due");
  check_refused(read({hello(), sync(1), end(3)}), 2, "frame 3 where 2 is due");
}

TEST_CASE("a frame that comes twice is seen") {
  check_refused(read({hello(), sync(1), sync(1), end(2)}), 2, "frame 1 where 2 is due");
}

TEST_CASE("frames that changed places are seen") {
  check_refused(read({hello(), sync(1), sync(3), sync(2), end(4)}), 2, "frame 3 where 2 is due");
  // For one who joins late the first of them may be what it came in with; the second is not.
  check_refused(read({hello(), sync(2), sync(1), end(3)}), 2, "frame 1 where 3 is due");
}

TEST_CASE("numbers do not begin again behind the last one there is") {
  check_refused(read({hello(), sync(UINT64_MAX), sync(0)}), 2, "frame with the impossible number 0");
  check_refused(read({hello(), sync(UINT64_MAX), sync(1)}), 2, "frame 1 where 0 is due");
}

TEST_CASE("no frame but HELLO has the number 0, and HELLO no other") {
  check_refused(read({hello(), sync(0)}), 1, "frame with the impossible number 0");
  check_refused(read({test::encode({1, 0, 0}, test::hello_of(1))}), 0, "HELLO with a number");
}

TEST_CASE("HELLO of the same epoch changes nothing") {
  CHECK(read({hello(), hello(), sync(1), hello(), sync(2), end(3), hello()}).status.ok());
  check_refused(read({hello(), sync(1), hello(), sync(3)}), 3, "frame 3 where 2 is due");
  check_refused(read({hello(), end(1), hello(), sync(2)}), 3, "frame behind END");
}

TEST_CASE("HELLO of another epoch begins another history") {
  CHECK(read({hello(1), sync(1), end(2), hello(2), sync(1), end(2)}).status.ok());
  CHECK(read({hello(1), sync(1), hello(2), sync(77), end(78)}).status.ok());
  CHECK(read({hello(1), end(1), hello(2)}).is(Kind::kTruncated));
}

TEST_CASE("HELLO without an epoch is refused") { check_refused(read({test::encode({}, Hello{})}), 0, "HELLO without an epoch"); }

TEST_CASE("HELLO of another version does not fit") {
  Hello later = test::hello_of(1);
  later.version = 2;
  test::Reading reading = read({test::encode({}, later)});
  CHECK(reading.is(Kind::kMismatch));
  CHECK(reading.status.error().detail == "the stream is of version 2, this program reads version 1");
}

TEST_CASE("nothing but HELLO comes behind END") {
  check_refused(read({hello(), end(1), sync(2)}), 2, "frame behind END");
  check_refused(read({hello(), end(1), end(2)}), 2, "frame behind END");
}

TEST_CASE("GAP takes the place of the frames that are lost") {
  CHECK(read({hello(), sync(1), gap(2, 9), sync(10), end(11)}).status.ok());
  CHECK(read({hello(), gap(1, 1), sync(2), end(3)}).status.ok());
  CHECK(read({hello(), gap(5, 9), sync(10), end(11)}).status.ok());
}

TEST_CASE("GAP begins where a frame is due and ends where the next one goes on") {
  check_refused(read({hello(), sync(1), gap(3, 9)}), 2, "frame 3 where 2 is due");
  check_refused(read({hello(), sync(1), gap(1, 9)}), 2, "frame 1 where 2 is due");
  check_refused(read({hello(), gap(1, 9), sync(9)}), 2, "frame 9 where 10 is due");
  check_refused(read({hello(), gap(1, 9), sync(11)}), 2, "frame 11 where 10 is due");
  check_refused(read({hello(), gap(9, 8)}), 1, "frame with the impossible number 8");
  check_refused(read({hello(), gap(0, 8)}), 1, "frame with the impossible number 8");
}

TEST_CASE("a stream without END broke off") {
  CHECK(read({}).is(Kind::kTruncated));
  CHECK(read({}).status.error().detail == "the stream is empty");
  CHECK(read({hello()}).is(Kind::kTruncated));
  CHECK(read({hello(), sync(1), sync(2)}).status.error().detail == "the stream broke off after frame 2 (no END)");
}

TEST_CASE("the position is that of the last frame with a number") {
  Sequence sequence;
  CHECK(!sequence.has_hello());
  auto take = [&sequence](const Bytes& bytes) {
    Frame frame = test::frame_at(bytes);
    REQUIRE(sequence.take(frame, decode(frame).value()).ok());
  };
  take(hello(3));
  CHECK(sequence.has_hello());
  CHECK(!sequence.has_position());
  CHECK(sequence.position() == Position{test::epoch_of(3), 0});
  take(sync(7));
  CHECK(sequence.has_position());
  CHECK(sequence.position() == Position{test::epoch_of(3), 7});
  take(gap(8, 20));
  CHECK(sequence.position().seq == 20);
  take(hello(3));
  CHECK(sequence.position().seq == 20);
  take(end(21));
  CHECK(sequence.has_ended());
  CHECK(sequence.position().seq == 21);
  take(hello(4));
  CHECK(!sequence.has_ended());
  CHECK(!sequence.has_position());
  CHECK(sequence.position() == Position{test::epoch_of(4), 0});
}

TEST_CASE("a frame that is refused changes nothing") {
  Sequence sequence;
  auto take = [&sequence](const Bytes& bytes) {
    Frame frame = test::frame_at(bytes);
    return sequence.take(frame, decode(frame).value());
  };
  REQUIRE(take(hello()).ok());
  REQUIRE(take(sync(5)).ok());
  CHECK(!take(sync(7)).ok());
  CHECK(sequence.position().seq == 5);
  CHECK(take(sync(6)).ok());
}
