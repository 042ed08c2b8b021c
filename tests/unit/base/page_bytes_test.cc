#include "lib/base/page_bytes.h"

#include <doctest/doctest.h>

#include <cstdint>

using namespace tfs;

TEST_CASE("page bytes: they begin with a page, whatever their size") {
  for (size_t size : {1u, 4095u, 4096u, 4097u, 1u << 20}) {
    PageBytes bytes(size);
    CHECK(bytes.size() == size);
    CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % kPage == 0);
  }
  CHECK(PageBytes().size() == 0);
}

TEST_CASE("page bytes: slow is what goes 1 to 31 bytes further in its page") {
  PageBytes bytes(2 * kPage);
  CHECK(!is_copied_slowly(bytes.data(), 0));
  CHECK(is_copied_slowly(bytes.data(), 1));
  CHECK(is_copied_slowly(bytes.data(), 31));
  CHECK(!is_copied_slowly(bytes.data(), 32));
  CHECK(!is_copied_slowly(bytes.data(), kPage));
  CHECK(is_copied_slowly(bytes.data() + kPage - 1, 0));
  CHECK(!is_copied_slowly(bytes.data() + 96, 96));
  CHECK(is_copied_slowly(bytes.data() + 96, 97));
}
