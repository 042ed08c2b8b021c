#include "lib/cli/main_guard.h"

#include <doctest/doctest.h>

using namespace tfs;
using namespace tfs::cli;

TEST_CASE("each kind of error has the exit status of tfs(7)") {
  CHECK(exit_code(Kind::kSystem) == 1);
  CHECK(exit_code(Kind::kUsage) == 2);
  CHECK(exit_code(Kind::kMismatch) == 3);
  CHECK(exit_code(Kind::kCorrupt) == 3);
  CHECK(exit_code(Kind::kTruncated) == 4);
}
