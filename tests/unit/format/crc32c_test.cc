#include "lib/format/crc32c.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;
using tfs::test::Bytes;

namespace {

// By the definition, a bit at a time: what tfs_stream(5) says and no more.
uint32_t by_definition(ByteView bytes) {
  uint32_t crc = 0xffffffff;
  for (std::byte b : bytes) {
    crc ^= static_cast<uint32_t>(b);
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

Bytes random_bytes(size_t size) {
  test::Random random(size);
  Bytes bytes(size);
  for (auto& b : bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

}  // namespace

TEST_CASE("the checksums of RFC 3720 come out") {
  Bytes ascending(32), descending(32);
  for (size_t i = 0; i < 32; i++) {
    ascending[i] = static_cast<std::byte>(i);
    descending[31 - i] = static_cast<std::byte>(i);
  }
  CHECK(crc32c(0, {}) == 0);
  CHECK(crc32c(0, as_bytes("123456789")) == 0xe3069283);
  CHECK(crc32c(0, Bytes(32)) == 0x8a9136aa);
  CHECK(crc32c(0, Bytes(32, std::byte{0xff})) == 0x62a8ab43);
  CHECK(crc32c(0, ascending) == 0x46dd794e);
  CHECK(crc32c(0, descending) == 0x113fdb5c);
}

TEST_CASE("machine and table agree at all lengths and alignments") {
  Bytes bytes = random_bytes(5000 + 16);
  size_t wrong = 0;
  for (size_t at = 0; at < 16; at++) {
    for (size_t size = 0; size <= 5000; size++) {
      ByteView part = ByteView(bytes).subspan(at, size);
      wrong += crc32c(0, part) != crc32c_by_table(0, part);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("lengths around the three lanes are summed as defined") {
  Bytes bytes = random_bytes(30000);
  for (size_t lanes : {6144, 2 * 6144, 4 * 6144}) {
    for (size_t size = lanes - 20; size <= lanes + 20; size++) {
      ByteView part = ByteView(bytes).subspan(size % 7, size);
      CHECK(crc32c(0, part) == by_definition(part));
      CHECK(crc32c_by_table(0, part) == by_definition(part));
    }
  }
}

TEST_CASE("a checksum goes on behind one that was taken before") {
  Bytes bytes = random_bytes(300);
  ByteView all(bytes);
  for (size_t cut = 0; cut <= all.size(); cut++) {
    CHECK(crc32c(crc32c(0, all.first(cut)), all.subspan(cut)) == crc32c(0, all));
    CHECK(crc32c_by_table(crc32c_by_table(0, all.first(cut)), all.subspan(cut)) == crc32c(0, all));
  }
}

TEST_CASE("checksums of two parts join to that of the whole") {
  Bytes bytes = random_bytes(kMaxFrame);
  ByteView all(bytes);
  test::Random random(1);
  for (size_t size : {size_t{0}, size_t{1}, size_t{31}, size_t{4096}, kMaxData, kMaxFrame}) {
    for (int i = 0; i < 20; i++) {
      size_t cut = random.below(size + 1);
      ByteView whole = all.first(size), a = whole.first(cut), b = whole.subspan(cut);
      CHECK(crc32c_join(crc32c(0, a), crc32c(0, b), b.size()) == crc32c(0, whole));
    }
  }
}
