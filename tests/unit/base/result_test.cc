#include "lib/base/result.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <memory>

using namespace tfs;

namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return usage_error("odd");
  return n / 2;
}

Result<int> quarter(int n) {
  int once = TFS_TRY(half(n));
  return half(once);
}

Status check_even(int n) {
  TFS_TRY(half(n));
  return {};
}

}  // namespace

TEST_CASE("a result is a value or an error") {
  CHECK(half(4).ok());
  CHECK(half(4).value() == 2);
  CHECK(!half(3).ok());
  CHECK(half(3).error().kind == Kind::kUsage);
  CHECK(half(3).error().detail == "odd");
}

TEST_CASE("the first error is returned unchanged") {
  CHECK(quarter(8).value() == 2);
  CHECK(quarter(6).error().detail == "odd");
  CHECK(check_even(2).ok());
  CHECK(check_even(1).error().detail == "odd");
}

TEST_CASE("a value that cannot be copied is moved out") {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  std::unique_ptr<int> owned = std::move(result).value();
  CHECK(*owned == 7);
}

TEST_CASE("a message is the detail, and the reason where the kernel gave one") {
  CHECK(corrupt("damaged").message() == "damaged");
  CHECK(system_error("x.open", ENOENT, "unable to open f").message() == "unable to open f: No such file or directory");
  CHECK(system_error("x.lock", 0, "in use").message() == "in use");
}
