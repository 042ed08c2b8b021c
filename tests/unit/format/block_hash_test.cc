#include "lib/format/block_hash.h"

#include <doctest/doctest.h>

#include <vector>

using namespace tfs;
using namespace tfs::format;

TEST_CASE("only pages of nothing but zeros may be holes") {
  std::vector<std::byte> block(kHashBlock);
  CHECK(zero_pages(block) == 0xffffffff);
  block[0] = block[5 * kHashPage + 17] = block[kHashBlock - 1] = std::byte{1};
  CHECK(zero_pages(block) == (0xffffffff & ~(1u | 1u << 5 | 1u << 31)));
  block[6 * kHashPage] = block[8 * kHashPage - 1] = std::byte{1};
  CHECK(zero_pages(block) == (0xffffffff & ~(1u | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 31)));
}

TEST_CASE("a file's last page counts as far as it goes") {
  std::vector<std::byte> block(2 * kHashPage + 1);
  CHECK(zero_pages(block) == 7);
  block.back() = std::byte{1};
  CHECK(zero_pages(block) == 3);
  CHECK(zero_pages({}) == 0);
}
