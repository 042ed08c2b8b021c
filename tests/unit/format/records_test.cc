#include "lib/format/records.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;

TEST_CASE("each record has a name and a number of its own") {
  test::RecordMaker maker(1);
  std::set<std::string_view> names;
  std::set<uint16_t> numbers;
  for (size_t n = 0; n < test::RecordMaker::kTypes; n++) {
    Record record = maker.make(n);
    CHECK(record.index() == n);
    std::visit(
        [&]<class R>(const R&) {
          names.insert(name_of(R::kType));
          numbers.insert(static_cast<uint16_t>(R::kType));
        },
        record);
  }
  CHECK(names.size() == test::RecordMaker::kTypes);
  CHECK(numbers.size() == test::RecordMaker::kTypes);
  CHECK(names.count("") == 0);
}

TEST_CASE("no number without a record has a name") {
  size_t named = 0;
  for (unsigned type = 0; type <= UINT16_MAX; type++) named += !name_of(RecordType{static_cast<uint16_t>(type)}).empty();
  CHECK(named == test::RecordMaker::kTypes);
}
