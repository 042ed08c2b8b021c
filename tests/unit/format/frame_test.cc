#include "lib/format/frame.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;
using test::Bytes;

TEST_CASE("a header has its fields where the page says") {
  Header header{0x04030201, RecordType{0x1211}, 0x2221, 0x34333231, 0x44434241, 0x5857565554535251, 0x6867666564636261};
  Bytes bytes(kHeaderSize);
  store_header(header, bytes.data());
  CHECK(test::to_hex(bytes) ==
        "01020304"
        "1112"
        "2122"
        "31323334"
        "41424344"
        "5152535455565758"
        "6162636465666768");
  Header loaded = load_header(bytes.data());
  CHECK(loaded.size == header.size);
  CHECK(loaded.type == header.type);
  CHECK(loaded.flags == header.flags);
  CHECK(loaded.checksum == header.checksum);
  CHECK(loaded.links == header.links);
  CHECK(loaded.seq == header.seq);
  CHECK(loaded.id == header.id);
}

TEST_CASE("a stride is the size up to the next multiple of 16") {
  auto stride = [](uint32_t size) {
    Header header;
    header.size = size;
    return header.stride();
  };
  CHECK(stride(32) == 32);
  CHECK(stride(33) == 48);
  CHECK(stride(47) == 48);
  CHECK(stride(48) == 48);
  CHECK(stride(kMaxFrame) == kMaxFrame);
}

TEST_CASE("the checksum covers header and payload with its own field as zero") {
  Bytes frame = test::encode({1, 2, 3}, Write{0, {}, 0, "f", as_bytes("x")});
  Header header = load_header(frame.data());
  Bytes summed(frame.begin(), frame.begin() + header.size);
  store_le<uint32_t>(summed.data() + 8, 0);
  CHECK(crc32c(0, summed) == header.checksum);
}

TEST_CASE("integers stand in little-endian at any address") {
  for (size_t at = 0; at < 9; at++) {
    Bytes bytes(24);
    store_le<uint64_t>(bytes.data() + at, 0x1122334455667788);
    CHECK(test::to_hex(ByteView(bytes).subspan(at, 8)) == "8877665544332211");
    CHECK(load_le<uint64_t>(bytes.data() + at) == 0x1122334455667788);
    CHECK(load_le<uint32_t>(bytes.data() + at) == 0x55667788);
    CHECK(load_le<uint16_t>(bytes.data() + at) == 0x7788);
  }
}
