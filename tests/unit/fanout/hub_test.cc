#include "lib/fanout/hub.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>

#include "lib/fanout/lag_policy.h"
#include "tests/support/frames.h"

using namespace tfs;
using fanout::Hub;
using fanout::Lag;
using test::Bytes;

namespace {

// A client whose socket takes what the test says, and which keeps all of it.
struct Taker {
  Hub::Cursor cursor;
  Bytes got;

  explicit Taker(Hub& hub, int64_t now_ms = 0) : cursor(hub, now_ms) {}

  void take(size_t most = SIZE_MAX) {
    size_t taken = 0;
    for (ByteView piece : cursor.pending()) {
      ByteView part = piece.first(std::min(piece.size(), most - taken));
      test::append(got, part);
      taken += part.size();
    }
    cursor.taken(taken);
  }
};

// Puts bytes in until the ring is full; how many went in.
size_t put_some(Hub& hub, ByteView bytes, int64_t now_ms = 0) {
  size_t put = 0;
  while (put < bytes.size()) {
    std::span<std::byte> space = hub.space();
    size_t size = std::min(space.size(), bytes.size() - put);
    if (size == 0) break;
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(put), size, space.begin());
    REQUIRE(hub.filled(size, now_ms));
    put += size;
  }
  return put;
}

void put(Hub& hub, ByteView bytes, int64_t now_ms = 0) { REQUIRE(put_some(hub, bytes, now_ms) == bytes.size()); }

Status put_status(Hub& hub, ByteView bytes) {
  std::copy(bytes.begin(), bytes.end(), hub.space().begin());
  return hub.filled(bytes.size(), 0);
}

Bytes write_frame(uint64_t seq, size_t data_size) {
  Bytes data(data_size, static_cast<std::byte>(seq));
  format::Write write;
  write.path = "a";
  write.data = data;
  return test::encode({seq, 1, 1}, write);
}

Bytes hello_frame(uint8_t epoch) { return test::encode({}, test::hello_of(epoch)); }
Bytes end_frame(uint64_t seq) { return test::encode({seq, 0, 0}, format::End{}); }

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) test::append(out, part);
  return out;
}

bool is(const Status& status, Kind kind) { return !status.ok() && status.error().kind == kind; }

}  // namespace

TEST_CASE("a client that is there from the beginning gets the stream, however the input is split") {
  Bytes stream = test::random_stream(1, 25);
  for (size_t split = 0; split <= stream.size(); split++) {
    Hub hub(fanout::kRing);
    Taker client(hub);
    put(hub, ByteView(stream).first(split));
    client.take();
    put(hub, ByteView(stream).subspan(split));
    client.take();
    REQUIRE(client.got == stream);
    REQUIRE(hub.finish());
  }
  for (size_t piece : {1, 3, 16, 31, 32, 33, 47, 1000}) {
    Hub hub(fanout::kRing);
    Taker client(hub);
    for (size_t at = 0; at < stream.size(); at += piece) {
      put(hub, ByteView(stream).subspan(at, std::min(piece, stream.size() - at)));
      client.take();
    }
    REQUIRE(client.got == stream);
  }
}

TEST_CASE("a client that joins late gets HELLO and all frames from the next whole one on, whenever it joins") {
  Bytes stream = test::random_stream(2, 25);
  std::vector<size_t> starts = test::frame_starts(stream);
  for (size_t moment = 0; moment <= stream.size(); moment++) {
    Hub hub(fanout::kRing);
    put(hub, ByteView(stream).first(moment));
    Taker client(hub);
    client.take();
    put(hub, ByteView(stream).subspan(moment));
    client.take();
    size_t first = 0;  // of the frames that are not yet whole at that moment
    for (size_t start : starts) {
      if (start <= moment) first = start;
    }
    if (moment == stream.size()) first = starts[starts.size() - 2];  // behind END: END
    // The stream repeats its HELLO now and then: always the same.
    Bytes expected = first == 0 ? Bytes() : Bytes(stream.begin(), stream.begin() + static_cast<ptrdiff_t>(starts[1]));
    test::append(expected, ByteView(stream).subspan(first));
    REQUIRE(client.got == expected);
    test::Reading reading = test::read_whole(client.got);
    REQUIRE(reading.status);
  }
}

TEST_CASE("clients see whole frames only") {
  Bytes stream = test::random_stream(3, 30);
  std::vector<size_t> starts = test::frame_starts(stream);
  Hub hub(fanout::kRing);
  Taker client(hub);
  for (size_t i = 0; i < stream.size(); i++) {
    put(hub, ByteView(stream).subspan(i, 1));
    client.take();
    REQUIRE(std::find(starts.begin(), starts.end(), client.got.size()) != starts.end());
  }
}

TEST_CASE("slow, fast, late and leaving clients, in a ring that wraps: each gets its frames and nothing else") {
  uint64_t seeds = std::getenv("TFS_SOAK") != nullptr ? 200 : 6;
  for (uint64_t seed = 1; seed <= seeds; seed++) {
    CAPTURE(seed);
    test::Random random(seed);
    // Frames of very different sizes: with large ones a single frame goes round the end.
    Bytes stream = hello_frame(1);
    Bytes hello = stream;
    uint64_t frames = 200;
    for (uint64_t seq = 1; seq <= frames; seq++) {
      size_t most = random.once_in(20) ? format::kMaxData : random.once_in(4) ? 60'000 : 300;
      test::append(stream, write_frame(seq, random.below(most + 1)));
    }
    test::append(stream, end_frame(frames + 1));
    std::vector<size_t> starts = test::frame_starts(stream);

    Hub hub(2 * format::kMaxFrame);
    struct Guest {
      std::unique_ptr<Taker> taker;
      size_t from;      // in the stream, of its first frame
      size_t appetite;  // in one turn
    };
    std::vector<Guest> guests;
    size_t at = 0, whole = 0;
    auto expect = [&](const Guest& g) {
      Bytes expected = g.from == 0 ? Bytes() : hello;
      test::append(expected, ByteView(stream).subspan(g.from));
      return expected;
    };
    for (bool is_stuck = false; at < stream.size() || is_stuck;) {
      if (at < stream.size() && (guests.empty() || random.once_in(10)) && guests.size() < 6) {
        guests.push_back({std::make_unique<Taker>(hub), whole, size_t{1} << random.below(22)});
      }
      if (guests.size() > 1 && random.once_in(60)) {
        Guest& leaver = guests[random.below(guests.size())];
        Bytes expected = expect(leaver);
        REQUIRE(leaver.taker->got.size() <= expected.size());
        REQUIRE(std::equal(leaver.taker->got.begin(), leaver.taker->got.end(), expected.begin()));
        std::swap(leaver, guests.back());
        guests.pop_back();
      }
      size_t wanted = std::min<size_t>(1 + random.below(random.once_in(3) ? 2'000'000 : 3'000), stream.size() - at);
      at += put_some(hub, ByteView(stream).subspan(at, wanted));
      while (whole < at && *std::upper_bound(starts.begin(), starts.end(), whole) <= at) {
        whole = *std::upper_bound(starts.begin(), starts.end(), whole);
        if (whole == stream.size()) break;
      }
      is_stuck = false;
      for (Guest& g : guests) {
        g.taker->take(random.below(g.appetite + 1));
        is_stuck = is_stuck || g.taker->cursor.behind() > 0;
      }
    }
    for (Guest& g : guests) REQUIRE(g.taker->got == expect(g));
    REQUIRE(hub.frames() == frames + 2);
    REQUIRE(hub.bytes() == stream.size());
    REQUIRE(hub.last_seq() == frames + 1);
  }
}

TEST_CASE("the slowest client keeps the ring full; when it leaves, there is room") {
  Hub hub(2 * format::kMaxFrame);
  Taker fast(hub);
  auto slow = std::make_unique<Taker>(hub);
  put(hub, hello_frame(1));
  Bytes frame = write_frame(1, 100'000);
  size_t room = 2 * format::kMaxFrame - hello_frame(1).size();
  size_t put_in = 0;
  for (size_t n = frame.size(); n == frame.size();) {
    n = put_some(hub, frame);
    put_in += n;
    fast.take();
  }
  CHECK(put_in == room);
  CHECK(hub.space().empty());
  slow->take(1);  // of HELLO: what is held is held in whole frames
  CHECK(hub.free_bytes() == 0);
  slow->take(hello_frame(1).size());
  CHECK(hub.free_bytes() == hello_frame(1).size());
  slow.reset();
  CHECK(hub.free_bytes() > 2 * format::kMaxFrame - frame.size());
}

TEST_CASE("without clients the ring is never full") {
  Hub hub(2 * format::kMaxFrame);
  put(hub, hello_frame(1));
  Bytes largest = test::raw_frame(999, 1, Bytes(format::kMaxFrame - format::kHeaderSize));
  for (int i = 0; i < 20; i++) put(hub, largest);
  CHECK(hub.frames() == 21);
}

TEST_CASE("two of the largest frames fit: one half sent, one half received") {
  Hub hub(2 * format::kMaxFrame);
  put(hub, hello_frame(1));
  Taker client(hub);
  client.take();
  Bytes largest = test::raw_frame(999, 1, Bytes(format::kMaxFrame - format::kHeaderSize, std::byte{7}));
  put(hub, largest);
  client.take(format::kMaxFrame - 1);
  put(hub, largest);
  CHECK(hub.space().empty());
  client.take(1);
  CHECK(hub.free_bytes() == format::kMaxFrame);
}

TEST_CASE("a new epoch passes through, and its HELLO is what later clients get") {
  Hub hub(fanout::kRing);
  put(hub, joined({hello_frame(1), write_frame(1, 10)}));
  Taker first(hub), partial(hub);
  partial.take(5);  // of the old HELLO: the rest of it must come, whatever happens
  Bytes next = joined({write_frame(2, 10), end_frame(3), hello_frame(2), write_frame(1, 20)});
  put(hub, next);
  Taker second(hub);
  Bytes last = joined({write_frame(2, 30), end_frame(3)});
  put(hub, last);
  for (Taker* taker : {&first, &partial, &second}) {
    taker->take();
    CHECK(test::read_whole(taker->got).status);
  }
  CHECK(first.got == joined({hello_frame(1), next, last}));
  CHECK(partial.got == first.got);
  CHECK(second.got == joined({hello_frame(2), last}));
}

TEST_CASE("behind END a client gets HELLO and END, as long as nothing else comes") {
  Hub hub(2 * format::kMaxFrame);
  put(hub, joined({hello_frame(1), write_frame(1, 1'000'000), end_frame(2)}));
  CHECK(hub.finish());
  Bytes next = hello_frame(2);
  put(hub, ByteView(next).first(20));  // must not take END's place
  CHECK(is(hub.finish(), Kind::kTruncated));
  REQUIRE(!hub.space().empty());
  Taker late(hub);
  late.take();
  CHECK(late.got == joined({hello_frame(1), end_frame(2)}));
  Taker slow(hub);  // takes nothing yet
  put(hub, ByteView(next).subspan(20));
  slow.take();
  CHECK(slow.got == joined({hello_frame(1), end_frame(2), next}));
  Taker new_epoch(hub);
  new_epoch.take();
  CHECK(new_epoch.got == next);
}

TEST_CASE("a header and a HELLO may lie across the end of the ring, anywhere") {
  constexpr size_t kRing = 2 * format::kMaxFrame;
  Bytes hello = hello_frame(1), next_hello = hello_frame(2);
  for (size_t room = 16; room <= next_hello.size(); room += 16) {  // between what fills the ring and its end
    for (bool is_moved : {false, true}) {
      CAPTURE(room);
      CAPTURE(is_moved);
      Hub hub(kRing);
      Taker client(hub);
      Bytes big = test::raw_frame(999, 1, Bytes(format::kMaxFrame - format::kHeaderSize - hello.size(), std::byte{7}));
      Bytes fill = test::raw_frame(999, 2, Bytes(format::kMaxFrame - format::kHeaderSize - room, std::byte{8}));
      put(hub, joined({hello, big, fill}));
      client.take(hello.size() + big.size());
      if (is_moved) client.take();  // nothing is held but the beginning of the next frame
      REQUIRE(hub.space().size() == (is_moved ? kRing : room));
      if (is_moved) continue;
      for (size_t i = 0; i < next_hello.size(); i++) put(hub, ByteView(next_hello).subspan(i, 1));
      Bytes last = write_frame(1, 40);
      put(hub, last);
      Taker late(hub);
      client.take();
      late.take();
      CHECK(client.got == joined({hello, big, fill, next_hello, last}));
      CHECK(late.got == next_hello);
    }
  }
}

TEST_CASE("the beginning of a frame across the end of the ring is kept, whatever is let go before it") {
  constexpr size_t kRing = 2 * format::kMaxFrame;
  Bytes hello = hello_frame(1);
  for (size_t begun : {1, 16, 31, 33, 1000, 20'000}) {
    CAPTURE(begun);
    Hub hub(kRing);
    Taker client(hub);
    Bytes big = test::raw_frame(999, 1, Bytes(format::kMaxFrame - format::kHeaderSize - hello.size(), std::byte{7}));
    Bytes fill = test::raw_frame(999, 2, Bytes(format::kMaxFrame - format::kHeaderSize - 16, std::byte{8}));
    Bytes last = write_frame(3, 30'000);
    put(hub, joined({hello, big, fill}));
    client.take(hello.size() + big.size());
    put(hub, ByteView(last).first(begun));
    client.take();
    put(hub, ByteView(last).subspan(begun));
    client.take();
    CHECK(client.got == joined({hello, big, fill, last}));
    CHECK(hub.last_seq() == 3);  // the far half of the header
  }
}

TEST_CASE("unknown types pass, checksums are not looked at") {
  Bytes unknown = test::raw_frame(40'000, 1, Bytes(20));
  unknown[40] = std::byte{1};
  Hub hub(fanout::kRing);
  Taker client(hub);
  put(hub, joined({hello_frame(1), unknown}));
  client.take();
  CHECK(client.got == joined({hello_frame(1), unknown}));
}

TEST_CASE("damage stops everything behind it, and nothing before it") {
  for (uint32_t size : {0u, 31u, static_cast<uint32_t>(format::kMaxFrame) + 1, 0xffff'ffffu}) {
    CAPTURE(size);
    Bytes good = joined({hello_frame(1), write_frame(1, 100)}), bad = write_frame(2, 100);
    format::store_le<uint32_t>(bad.data(), size);
    Hub hub(fanout::kRing);
    Taker client(hub);
    Status status = put_status(hub, joined({good, bad}));
    REQUIRE(is(status, Kind::kCorrupt));
    CHECK(status.error().detail.find("at byte " + std::to_string(good.size())) != std::string::npos);
    client.take();
    CHECK(client.got == good);
  }
}

TEST_CASE("what does not begin with HELLO is no stream") {
  Hub hub(fanout::kRing);
  CHECK(put_status(hub, Bytes(31, std::byte{'x'})));  // not yet known
  CHECK(is(put_status(hub, Bytes(1, std::byte{'x'})), Kind::kCorrupt));
  Hub other(fanout::kRing);
  CHECK(is(put_status(other, write_frame(1, 10)), Kind::kCorrupt));
}

TEST_CASE("a HELLO that is too long to be kept is refused") {
  auto hello_of_size = [](size_t size) { return test::raw_frame(1, 0, Bytes(size - format::kHeaderSize)); };
  Hub fits(fanout::kRing), too_long(fanout::kRing);
  CHECK(put_status(fits, hello_of_size(fanout::kMaxHello)));
  CHECK(is(put_status(too_long, hello_of_size(fanout::kMaxHello + 1)), Kind::kCorrupt));
}

TEST_CASE("the end of input is clean only behind END") {
  Bytes stream = joined({hello_frame(1), write_frame(1, 50), end_frame(2)});
  REQUIRE(test::read_whole(stream).status);
  for (size_t cut = 0; cut <= stream.size(); cut++) {
    Hub hub(fanout::kRing);
    put(hub, ByteView(stream).first(cut));
    CHECK(hub.finish().ok() == (cut == stream.size()));
    CHECK((hub.finish().ok() || is(hub.finish(), Kind::kTruncated)));
  }
  Hub hub(fanout::kRing);
  put(hub, joined({stream, hello_frame(2)}));
  CHECK(is(hub.finish(), Kind::kTruncated));
}

TEST_CASE("lag is counted in frames, bytes and time") {
  Hub hub(fanout::kRing);
  Taker client(hub, 1000), other(hub, 1000);
  std::array<const Hub::Cursor*, 2> cursors{&client.cursor, &other.cursor};
  auto lag = [&](int64_t now) { return hub.lags(cursors, now)[0]; };
  auto check = [](const Lag& l, uint64_t frames, uint64_t bytes, uint64_t ms) {
    CHECK(l.frames == frames);
    CHECK(l.bytes == bytes);
    CHECK(l.ms == ms);
  };
  Bytes hello = hello_frame(1), one = write_frame(1, 100), two = write_frame(2, 200);
  check(lag(1000), 0, 0, 0);
  put(hub, hello, 1000);
  put(hub, one, 2000);
  put(hub, ByteView(two).first(50), 2500);  // no frame yet: nobody can wait for it
  other.take();
  check(lag(3000), 2, hello.size() + one.size(), 2000);
  client.take(hello.size());
  check(lag(3000), 1, one.size(), 1000);
  client.take(1);
  check(lag(3500), 1, one.size() - 1, 1500);
  put(hub, ByteView(two).subspan(50), 4000);
  client.take(one.size() - 1);
  check(lag(4500), 1, two.size(), 500);
  client.take();
  check(lag(9000), 0, 0, 0);

  // HELLO for a newcomer counts, too, from when it joined.
  Taker late(hub, 10'000);
  std::array<const Hub::Cursor*, 1> newcomer{&late.cursor};
  check(hub.lags(newcomer, 10'100)[0], 1, hello.size(), 100);
}

TEST_CASE("times of arrival stay few, and right to a hundredth of the longest") {
  constexpr int64_t kEvery = 1000;
  for (int64_t frames : {600, 20'000}) {
    Hub hub(fanout::kRing);
    put(hub, hello_frame(1), 0);
    Taker client(hub, 0);
    client.take();
    Bytes beat = test::encode({1, 0, 0}, format::Heartbeat{});
    for (int64_t i = 0; i < frames; i++) put(hub, beat, i * kEvery);
    int64_t now = frames * kEvery;
    for (int64_t i = 0; i < frames; i++) {
      auto age = static_cast<int64_t>(client.cursor.waiting_ms(now)), exact = now - i * kEvery;
      REQUIRE(age >= exact);
      REQUIRE(age - exact <= now / 100);
      client.take(beat.size());
    }
    CHECK(client.cursor.waiting_ms(now) == 0);
    // Once all is taken they are exact again.
    for (int64_t i = 0; i < 10; i++) put(hub, beat, now + i);
    for (int64_t i = 0; i < 10; i++) {
      CHECK(client.cursor.waiting_ms(now + 10) == static_cast<uint64_t>(10 - i));
      client.take(beat.size());
    }
  }
}

TEST_CASE("lags of clients anywhere, in a ring that wraps, agree with a count") {
  test::Random random(5);
  Hub hub(2 * format::kMaxFrame);
  std::vector<std::unique_ptr<Taker>> takers;
  put(hub, hello_frame(1));
  for (int i = 0; i < 5; i++) takers.push_back(std::make_unique<Taker>(hub));
  for (auto& t : takers) t->take();
  std::vector<uint64_t> ends{0};  // of the frames behind HELLO
  for (int turn = 0; turn < 600; turn++) {
    Bytes frame = write_frame(1, random.below(random.once_in(10) ? 200'000 : 500));
    if (hub.free_bytes() >= frame.size()) {
      put(hub, frame);
      ends.push_back(ends.back() + frame.size());
    }
    for (auto& t : takers) t->take(random.below(40'000));
    std::vector<const Hub::Cursor*> cursors;
    for (auto& t : takers) cursors.push_back(&t->cursor);
    std::vector<Lag> lags = hub.lags(cursors, 0);
    for (size_t i = 0; i < takers.size(); i++) {
      size_t taken = takers[i]->got.size() - hello_frame(1).size();
      size_t whole = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), taken) - ends.begin()) - 1;
      REQUIRE(lags[i].bytes == ends.back() - taken);
      REQUIRE(lags[i].frames == ends.size() - 1 - whole);
    }
  }
}
