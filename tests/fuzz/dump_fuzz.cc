// tfs_dump both ways. A text (it begins with a brace) makes frames that readers take, and these come back from their own text. Of
// a stream the good part comes back.
#include "lib/dump/dumper.h"
#include "lib/dump/encoder.h"
#include "lib/dump/from_json.h"
#include "lib/dump/to_json.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace tfs;
using test::Bytes;

// All that a converter makes of an input, and how that ended.
template <class Out, class Converter>
Status convert(Converter converter, ByteView input, Out& out) {
  test::Random random(format::crc32c(0, input));
  while (true) {
    if (TFS_TRY(converter.next(out))) continue;
    if (input.empty()) return converter.finish(out);
    std::span<std::byte> space = converter.space();
    size_t size = std::min({space.size(), input.size(), static_cast<size_t>(1 + random.below(input.size()))});
    std::copy_n(input.begin(), size, space.begin());
    converter.filled(size);
    input = input.subspan(size);
  }
}

void check_stream(ByteView stream) {
  std::string text;
  Status dumped = convert(dump::Dumper(), stream, text);
  Bytes again;
  Status encoded = convert(dump::Encoder(), as_bytes(text), again);
  TFS_CHECK(encoded.ok() || encoded.error().kind == Kind::kTruncated);
  TFS_CHECK(!dumped.ok() || again.size() == stream.size());
  TFS_CHECK(again.size() <= stream.size() && std::equal(again.begin(), again.end(), stream.begin()));
}

void check_text(ByteView text) {
  Bytes frames;
  Status encoded = convert(dump::Encoder(), text, frames);
  TFS_CHECK(encoded.ok() || encoded.error().kind == Kind::kTruncated || encoded.error().kind == Kind::kCorrupt);
  for (ByteView left = frames; !left.empty();) {
    format::Frame frame = test::frame_at(left);
    TFS_CHECK(format::check_header(frame.header).ok() && format::check_frame(frame).ok());
    bool is_known = !format::name_of(frame.header.type).empty();
    Result<format::Record> record = format::decode(frame);
    TFS_CHECK(record.ok() == is_known);
    std::string line;
    dump::append_line(frame, is_known ? &*record : nullptr, true, line);
    line.pop_back();
    Bytes again;
    TFS_CHECK(dump::append_frame_of(line, again).ok());
    TFS_CHECK(std::equal(again.begin(), again.end(), frame.bytes.begin(), frame.bytes.end()));
    left = left.subspan(frame.header.stride());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView input = fuzz::view_of(data, size);
  if (size > 0 && data[0] == '{') {
    check_text(input);
    return 0;
  }
  check_stream(input);
  check_stream(fuzz::sealed(input));
  return 0;
}
