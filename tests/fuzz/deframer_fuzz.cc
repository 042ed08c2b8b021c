// Deframer, decode() and Sequence on a stream: what is delivered does not depend on the pieces, and is the front of what came in.
#include "tests/fuzz/fuzz.h"

namespace {

using namespace tfs;

void check_stream(ByteView stream) {
  test::Reading whole = test::read_whole(stream);
  TFS_CHECK(whole.good.size() <= stream.size());
  TFS_CHECK(std::equal(whole.good.begin(), whole.good.end(), stream.begin()));
  TFS_CHECK(!whole.status.ok() || whole.good.size() == stream.size());
  TFS_CHECK(whole.status.ok() || whole.status.error().kind != Kind::kSystem);

  test::Random random(format::crc32c(0, stream));
  size_t largest = random.once_in(2) ? 40 : stream.size() + 1;
  test::Reading in_pieces = test::read_in_pieces(stream, [&] { return 1 + random.below(largest); });
  TFS_CHECK(in_pieces == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView input = fuzz::view_of(data, size);
  check_stream(input);
  check_stream(fuzz::sealed(input));
  return 0;
}
