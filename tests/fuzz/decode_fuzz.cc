// decode() on any payload of any type (the first two bytes): what it takes, the encoder makes again, and the dump, too.
#include "lib/dump/from_json.h"
#include "lib/dump/to_json.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tfs;
  if (size < 2 || size - 2 > format::kMaxFrame - format::kHeaderSize) return 0;
  ByteView input = fuzz::view_of(data, size);
  test::Bytes bytes = test::raw_frame(format::load_le<uint16_t>(input.data()), 7, input.subspan(2));
  format::Frame frame = test::frame_at(bytes);
  TFS_CHECK(format::check_frame(frame).ok());
  Result<format::Record> record = format::decode(frame);
  bool is_known = !format::name_of(frame.header.type).empty();
  if (!record) {
    TFS_CHECK(record.error().kind == Kind::kCorrupt);
    if (is_known) return 0;
  } else {
    TFS_CHECK(is_known);
    TFS_CHECK(test::encode({7, 0, 0}, *record) == bytes);
  }

  std::string line;
  dump::append_line(frame, is_known ? &*record : nullptr, true, line);
  TFS_CHECK(line.ends_with('\n'));
  line.pop_back();
  for (char c : line) TFS_CHECK(c >= 0x20 && c < 0x7f);
  test::Bytes again;
  TFS_CHECK(dump::append_frame_of(line, again).ok());
  TFS_CHECK(again == bytes);
  return 0;
}
