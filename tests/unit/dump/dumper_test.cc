// Streams to text and back: dumper.h with encoder.h.
#include "lib/dump/dumper.h"

#include <doctest/doctest.h>

#include "lib/dump/encoder.h"
#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;
using namespace tfs::dump;
using test::Bytes;

namespace {

template <class Out>
struct Made {
  Out out;
  Status status;
  std::string why() const { return status ? "" : status.error().detail; }
  bool is(Kind kind) const { return !status && status.error().kind == kind; }
};

// What a converter makes of an input that comes in pieces of a size.
template <class Out, class Converter>
Made<Out> convert(Converter converter, ByteView input, size_t piece) {
  Made<Out> made;
  while (true) {
    Result<bool> next = converter.next(made.out);
    if (!next) {
      made.status = std::move(next).error();
      return made;
    }
    if (*next) continue;
    if (input.empty()) break;
    std::span<std::byte> space = converter.space();
    size_t size = std::min({piece, space.size(), input.size()});
    std::copy_n(input.begin(), size, space.begin());
    converter.filled(size);
    input = input.subspan(size);
  }
  made.status = converter.finish(made.out);
  return made;
}

Made<std::string> dumped(ByteView stream, size_t piece = SIZE_MAX, bool with_data = true) {
  return convert<std::string>(Dumper(with_data), stream, piece);
}
Made<Bytes> encoded(std::string_view text, size_t piece = SIZE_MAX) { return convert<Bytes>(Encoder(), as_bytes(text), piece); }

size_t lines_in(const std::string& text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

TEST_CASE("a stream that is dumped and encoded is the same bytes") {
  for (uint64_t seed = 0; seed < 10; seed++) {
    Bytes stream = test::random_stream(seed, 300, 20'000);
    Made<std::string> text = dumped(stream);
    CHECK(text.status.ok());
    Made<Bytes> back = encoded(text.out);
    CHECK(back.status.ok());
    CHECK(back.out == stream);
  }
}

TEST_CASE("in pieces of any size the same comes out") {
  Bytes stream = test::random_stream(20, 2 * test::RecordMaker::kTypes);
  std::string text = dumped(stream).out;
  for (size_t piece : {1, 2, 3, 31, 32, 33, 1000}) {
    CHECK(dumped(stream, piece).out == text);
    CHECK(encoded(text, piece).out == stream);
  }
}

TEST_CASE("the largest frames are one line each, there and back") {
  Bytes hello = test::encode({}, test::hello_of(1)), data(kMaxData, std::byte{1});
  std::string path;
  while (path.size() < kMaxPath) path += std::string(255, '\x01') + "/";
  path.pop_back();
  Bytes stream = hello;
  test::append(stream, test::encode({1, 1, 1}, Write{0, {}, 0, path, data}));
  test::append(stream, test::encode({2, 1, 1}, Rename{0, 0, 0, 0, {}, {}, {}, path, path}));
  test::append(stream, test::raw_frame(999, 3, Bytes(kMaxFrame - kHeaderSize)));
  test::append(stream, test::encode({4, 0, 0}, End{}));
  Made<std::string> text = dumped(stream, 100'000);
  CHECK(text.why() == "");
  CHECK(lines_in(text.out) == 5);
  Made<Bytes> back = encoded(text.out, 100'000);
  CHECK(back.why() == "");
  CHECK(back.out == stream);
}

TEST_CASE("what is good before damage is printed, and the place is named") {
  Bytes stream = test::random_stream(21, 40);
  std::vector<size_t> starts = test::frame_starts(stream);
  std::string whole = dumped(stream).out;
  for (size_t n = 0; n + 1 < starts.size(); n++) {
    Bytes damaged = stream;
    damaged[starts[n] + 20] ^= std::byte{1};
    Made<std::string> text = dumped(damaged);
    CHECK(text.is(Kind::kCorrupt));
    CHECK(text.why() == "at byte " + std::to_string(starts[n]) + ": checksum does not match");
    CHECK(lines_in(text.out) == n);
    CHECK(whole.starts_with(text.out));
  }
}

TEST_CASE("a stream that broke off is dumped up to there") {
  Bytes stream = test::random_stream(22, 40);
  std::vector<size_t> starts = test::frame_starts(stream);
  size_t last = starts[starts.size() - 2];
  Made<std::string> text = dumped(ByteView(stream).first(last + 5));
  CHECK(text.is(Kind::kTruncated));
  CHECK(text.why() == "the stream breaks off inside the frame at byte " + std::to_string(last));
  CHECK(lines_in(text.out) == starts.size() - 2);
  text = dumped(ByteView(stream).first(last));
  CHECK(text.is(Kind::kTruncated));
  CHECK(text.why().starts_with("at byte " + std::to_string(last) + ": the stream broke off after frame "));
  CHECK(dumped({}).is(Kind::kTruncated));
}

TEST_CASE("a gap in the numbers is damage") {
  Bytes stream = test::encode({}, test::hello_of(1)), skipped = test::encode({3, 0, 0}, End{});
  size_t place = stream.size();
  test::append(stream, test::raw_frame(999, 1, {}));
  place = stream.size();
  test::append(stream, skipped);
  Made<std::string> text = dumped(stream);
  CHECK(text.is(Kind::kCorrupt));
  CHECK(text.why() == "at byte " + std::to_string(place) + ": frame 3 where 2 is due");
  CHECK(lines_in(text.out) == 2);
}

TEST_CASE("a payload that is wrong is damage, though its checksum holds") {
  Bytes stream = test::encode({}, test::hello_of(1));
  size_t place = stream.size();
  test::append(stream, test::raw_frame(static_cast<uint16_t>(RecordType::kSync), 1, {}));
  Made<std::string> text = dumped(stream);
  CHECK(text.is(Kind::kCorrupt));
  CHECK(text.why() == "at byte " + std::to_string(place) + ": SYNC frame with a wrong [flags]");
}

TEST_CASE("lines are encoded without a look at their order") {
  std::string sync = "{\"type\":\"SYNC\",\"seq\":7,\"id\":1,\"links\":0,\"flags\":0,\"path\":\".\"}\n";
  std::string end = "{\"type\":\"END\",\"seq\":7,\"id\":0,\"links\":0,\"time\":\"0.000000000\"}\n";
  CHECK(encoded(sync + sync + end).status.ok());
  CHECK(encoded(end + sync).is(Kind::kTruncated));
}

TEST_CASE("the last line needs no newline") {
  std::string end = "{\"type\":\"END\",\"seq\":7,\"id\":0,\"links\":0,\"time\":\"0.000000000\"}";
  Made<Bytes> made = encoded(end);
  CHECK(made.status.ok());
  CHECK(made.out == test::encode({7, 0, 0}, End{}));
}

TEST_CASE("text that broke off is encoded up to there") {
  Bytes stream = test::random_stream(23, 30);
  std::string text = dumped(stream).out;
  std::vector<size_t> starts = test::frame_starts(stream);
  size_t wrong = 0;
  for (size_t size = 0; size + 1 < text.size(); size += 13) {
    Made<Bytes> made = encoded(std::string_view(text).substr(0, size));
    size_t whole = lines_in(text.substr(0, size));
    bool is_line = text[size] == '\n';
    wrong += !made.is(Kind::kTruncated) || made.out.size() != starts[whole + is_line];
  }
  CHECK(wrong == 0);
  CHECK(encoded("").is(Kind::kTruncated));
}

TEST_CASE("a line that is wrong is named, and all before it is good") {
  Bytes stream = test::random_stream(24, 30);
  std::string text = dumped(stream).out;
  size_t third = text.find('\n', text.find('\n') + 1) + 1;
  text.insert(third, "\n");
  Made<Bytes> made = encoded(text);
  CHECK(made.is(Kind::kCorrupt));
  CHECK(made.why() == "line 3: the line is not complete");
  CHECK(made.out.size() == test::frame_starts(stream)[2]);
}

TEST_CASE("a line has a limit") {
  Made<Bytes> made = encoded(std::string(6'000'000, ' '), 1'000'000);
  CHECK(made.is(Kind::kCorrupt));
  CHECK(made.why() == "line 1: longer than 5242880 bytes");
}
