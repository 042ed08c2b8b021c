#include "lib/spool/frame_scan.h"

#include <doctest/doctest.h>

#include "lib/spool/track.h"
#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::spool;
using test::Bytes;

namespace {

struct Scanned {
  std::vector<uint64_t> numbers;  // of whole frames
  size_t good = 0;                // bytes of them
  bool is_refused = false;
  bool operator==(const Scanned&) const = default;
};

Scanned scan_in_pieces(ByteView stream, size_t piece) {
  Scanned out;
  FrameScan scan;
  size_t at = 0;
  while (at < stream.size()) {
    ByteView part = stream.subspan(at, std::min(piece, stream.size() - at));
    at += part.size();
    while (!part.empty()) {
      Result<bool> whole = scan.take(part);
      if (!whole) {
        out.is_refused = true;
        return out;
      }
      if (!*whole) break;
      out.numbers.push_back(scan.header().seq);
      out.good = at - part.size();
    }
  }
  return out;
}

}  // namespace

TEST_CASE("frames are found in any split of a stream") {
  Bytes stream = test::random_stream(3, 200);
  Scanned whole = scan_in_pieces(stream, stream.size());
  CHECK(whole.good == stream.size());
  CHECK(whole.numbers.size() == test::frame_starts(stream).size() - 1);
  for (size_t piece = 1; piece < 700; piece += piece < 70 ? 1 : 31) CHECK(scan_in_pieces(stream, piece) == whole);
}

TEST_CASE("every truncation gives the whole frames before it") {
  Bytes stream = test::random_stream(4, 20);
  std::vector<size_t> starts = test::frame_starts(stream);
  for (size_t size = 0; size <= stream.size(); size++) {
    Scanned scanned = scan_in_pieces(ByteView(stream).first(size), 50);
    CHECK_FALSE(scanned.is_refused);
    CHECK(scanned.good == *(std::upper_bound(starts.begin(), starts.end(), size) - 1));
  }
}

TEST_CASE("no frame with a flipped bit is good") {
  Bytes stream = test::random_stream(5, 12);
  std::vector<size_t> starts = test::frame_starts(stream);
  for (size_t piece : {size_t{7}, stream.size()}) {
    for (size_t at = 0; at < stream.size(); at++) {
      Bytes bad = stream;
      bad[at] ^= std::byte{1} << at % 8;
      // Where the size grew, it may also look like a frame that breaks off.
      CHECK(scan_in_pieces(bad, piece).good == *(std::upper_bound(starts.begin(), starts.end(), at) - 1));
    }
  }
}

TEST_CASE("it tells how many bytes are missing") {
  Bytes frame = test::raw_frame(999, 1, Bytes(5));
  FrameScan scan;
  CHECK(scan.missing() == format::kHeaderSize);
  for (size_t size = 1; size < frame.size(); size++) {
    ByteView byte = ByteView(frame).subspan(size - 1, 1);
    CHECK_FALSE(scan.take(byte).value());
    CHECK(scan.held() == size);
    CHECK(scan.missing() == (size < format::kHeaderSize ? format::kHeaderSize : frame.size()) - size);
  }
  ByteView last = ByteView(frame).last(1);
  CHECK(scan.take(last).value());
  CHECK(scan.held() == 0);
  CHECK(scan.missing() == format::kHeaderSize);
}

TEST_CASE("HELLO and GAP are kept whole") {
  Bytes gap = test::encode({9, 0, 0}, format::Gap{3, {}});
  for (size_t piece : {size_t{1}, size_t{40}, gap.size()}) {
    FrameScan scan;
    for (size_t at = 0; at < gap.size(); at += piece) {
      ByteView part = ByteView(gap).subspan(at, std::min(piece, gap.size() - at));
      REQUIRE(scan.take(part).ok());
    }
    Span span = span_of(scan.kept()).value();
    CHECK(span.first == 3);
    CHECK(span.last == 9);
  }
}

TEST_CASE("a HELLO that is larger than any can be is refused before it is kept") {
  Bytes hello = test::raw_frame(1, 0, Bytes(size_t{64} << 10));
  FrameScan scan;
  ByteView bytes = hello;
  CHECK_FALSE(scan.take(bytes).ok());
}
