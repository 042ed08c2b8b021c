#include "lib/format/deframer.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;
using test::Bytes;
using test::Reading;

namespace {

constexpr size_t kAllTypes = test::RecordMaker::kTypes;

ByteView first(const Bytes& bytes, size_t size) { return ByteView(bytes).first(size); }

// A frame of `size` bytes of header and payload, of a type that nobody knows.
Bytes frame_of_size(size_t size) { return test::raw_frame(999, 1, Bytes(size - kHeaderSize)); }

// The status after the whole of `bytes` was pushed and asked for a frame.
Status next_status(ByteView bytes) {
  Deframer deframer;
  std::copy(bytes.begin(), bytes.end(), deframer.space().begin());
  deframer.filled(bytes.size());
  Result<std::optional<Frame>> next = deframer.next();
  if (!next) return std::move(next).error();
  return {};
}

}  // namespace

TEST_CASE("a stream is read whole") {
  Bytes stream = test::random_stream(1, 500);
  Reading reading = test::read_whole(stream);
  CHECK(reading.status.ok());
  CHECK(reading.good == stream);
  CHECK(reading.frames == test::frame_starts(stream).size() - 1);
}

TEST_CASE("every split in two gives the same result") {
  Bytes stream = test::random_stream(2, kAllTypes);
  Reading whole = test::read_whole(stream);
  REQUIRE(whole.status.ok());
  size_t different = 0;
  for (size_t cut = 1; cut < stream.size(); cut++) {
    bool is_first = true;
    Reading split = test::read_in_pieces(stream, [&] { return std::exchange(is_first, false) ? cut : SIZE_MAX; });
    different += !(split == whole);
  }
  CHECK(different == 0);
}

TEST_CASE("pieces of one size, from a byte on, give the same result") {
  Bytes stream = test::random_stream(3, 3 * kAllTypes);
  for (size_t size = 1; size <= 100; size++) {
    Reading reading = test::read_in_pieces(stream, [size] { return size; });
    CHECK(reading.status.ok());
    CHECK(reading.good == stream);
  }
}

TEST_CASE("pieces of random sizes give the same result") {
  for (uint64_t seed = 0; seed < 30; seed++) {
    Bytes stream = test::random_stream(seed, 200, 5000);
    test::Random random(seed);
    Reading reading = test::read_in_pieces(stream, [&random] { return random.next() >> (44 + random.below(20)); });
    CHECK(reading.status.ok());
    CHECK(reading.good == stream);
  }
}

TEST_CASE("every truncation is a stream that broke off behind its last whole frame") {
  Bytes stream = test::random_stream(4, kAllTypes);
  std::vector<size_t> starts = test::frame_starts(stream);
  size_t wrong = 0, whole = 0;
  for (size_t size = 0; size < stream.size(); size++) {
    while (starts[whole + 1] <= size) whole++;
    Reading reading = test::read_whole(first(stream, size));
    wrong += !reading.is(Kind::kTruncated) || reading.frames != whole || reading.good.size() != starts[whole];
  }
  CHECK(wrong == 0);
}

TEST_CASE("every flipped bit is refused, and all frames before it are delivered") {
  const Bytes stream = test::random_stream(5, kAllTypes, 40);
  std::vector<size_t> starts = test::frame_starts(stream);
  Bytes damaged = stream;
  size_t wrong = 0, frame = 0;
  for (size_t at = 0; at < stream.size(); at++) {
    while (starts[frame + 1] <= at) frame++;
    for (int bit = 0; bit < 8; bit++) {
      damaged[at] = stream[at] ^ static_cast<std::byte>(1 << bit);
      Reading reading = test::read_whole(damaged);
      // A size that grew may ask for more than there is: then it looks like a cut.
      wrong +=
          reading.status.ok() || reading.frames != frame || !std::equal(reading.good.begin(), reading.good.end(), stream.begin());
    }
    damaged[at] = stream[at];
  }
  CHECK(wrong == 0);
}

TEST_CASE("a frame is between a header and the largest size") {
  CHECK(next_status(frame_of_size(kHeaderSize)).ok());
  CHECK(next_status(frame_of_size(kHeaderSize + 1)).ok());
  CHECK(next_status(frame_of_size(kMaxFrame - 1)).ok());
  CHECK(next_status(frame_of_size(kMaxFrame)).ok());
  Bytes frame = frame_of_size(kMaxFrame);
  for (uint32_t size : {uint32_t{0}, uint32_t{1}, uint32_t{kHeaderSize - 1}, uint32_t{kMaxFrame + 1}, UINT32_MAX}) {
    store_le<uint32_t>(frame.data(), size);
    Status status = next_status(first(frame, kHeaderSize));
    REQUIRE(!status.ok());
    CHECK(status.error().kind == Kind::kCorrupt);
    CHECK(status.error().detail == "frame of " + std::to_string(size) + " bytes where 32 to 1310720 are possible");
  }
}

TEST_CASE("two of the largest frames come out of a small buffer in small pieces") {
  Bytes hello = test::encode({}, test::hello_of(1));
  Bytes stream = hello, data(kMaxData, std::byte{7});
  for (uint64_t seq = 1; seq <= 5; seq++) test::append(stream, test::encode({seq, 1, 1}, Write{0, {}, 0, "f", data}));
  test::append(stream, test::encode({6, 0, 0}, End{}));
  for (size_t size : {size_t{4096}, size_t{65536}, size_t{999'983}, kMaxFrame}) {
    Reading reading = test::read_in_pieces(stream, [size] { return size; });
    CHECK(reading.status.ok());
    CHECK(reading.good == stream);
  }
}

TEST_CASE("padding that is not zero is refused") {
  for (size_t at = kHeaderSize + 1; at < kHeaderSize + kAlignment; at++) {
    Bytes frame = frame_of_size(kHeaderSize + 1);
    REQUIRE(frame.size() == kHeaderSize + kAlignment);
    frame[at] = std::byte{1};
    Status status = next_status(frame);
    REQUIRE(!status.ok());
    CHECK(status.error().detail == "padding is not zero");
  }
}

TEST_CASE("there is no way on behind damage") {
  Bytes damaged = frame_of_size(100), good = frame_of_size(50);
  damaged[60] ^= std::byte{1};
  Deframer deframer;
  std::copy(damaged.begin(), damaged.end(), deframer.space().begin());
  deframer.filled(damaged.size());
  for (int i = 0; i < 3; i++) {
    CHECK(!deframer.next().ok());
    std::copy(good.begin(), good.end(), deframer.space().begin());
    deframer.filled(good.size());
  }
  CHECK(deframer.offset() == 0);
}

TEST_CASE("the offset is that of the next frame") {
  Bytes stream = test::random_stream(6, kAllTypes);
  Deframer deframer;
  std::copy(stream.begin(), stream.end(), deframer.space().begin());
  deframer.filled(stream.size());
  for (size_t start : test::frame_starts(stream)) {
    CHECK(deframer.offset() == start);
    REQUIRE(deframer.next().ok());
  }
}

TEST_CASE("there is always space when there is no frame") {
  Deframer deframer;
  Bytes frame = frame_of_size(kMaxFrame);
  // Frames begin anywhere in the buffer: all but a byte of one stays in it each time.
  size_t at = 0;
  for (int i = 0; i < 50; i++) {
    std::span<std::byte> space = deframer.space();
    REQUIRE(!space.empty());
    size_t size = std::min(space.size(), frame.size() - 1);
    for (size_t k = 0; k < size; k++) space[k] = frame[(at + k) % frame.size()];
    at += size;
    deframer.filled(size);
    while (true) {
      Result<std::optional<Frame>> next = deframer.next();
      REQUIRE(next.ok());
      if (!next->has_value()) break;
    }
  }
}

TEST_CASE("an empty piece changes nothing") {
  Deframer deframer;
  deframer.space();
  deframer.filled(0);
  Result<std::optional<Frame>> next = deframer.next();
  REQUIRE(next.ok());
  CHECK(!next->has_value());
  CHECK(deframer.finish().ok());
}

TEST_CASE("what comes behind a part of a frame begins with a page") {
  Bytes frame = frame_of_size(3 * kPage);
  for (size_t part : {size_t{16}, kPage, 2 * kPage + 48}) {
    Deframer deframer;
    // Frames before it, so that the part is what is left at the end.
    Bytes stream = frame;
    stream.insert(stream.end(), frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(part));
    std::copy(stream.begin(), stream.end(), deframer.space().begin());
    deframer.filled(stream.size());
    Result<std::optional<Frame>> first = deframer.next();
    REQUIRE((first && first->has_value()));
    std::span<std::byte> space = deframer.space();
    CHECK(reinterpret_cast<uintptr_t>(space.data()) % kPage == 0);
    std::copy(frame.begin() + static_cast<std::ptrdiff_t>(part), frame.end(), space.begin());
    deframer.filled(frame.size() - part);
    Result<std::optional<Frame>> second = deframer.next();
    REQUIRE((second && second->has_value()));
    CHECK(std::equal(frame.begin(), frame.end(), (*second)->bytes.begin(), (*second)->bytes.end()));
  }
}
