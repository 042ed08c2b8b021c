#include "lib/format/rel_path.h"

#include <doctest/doctest.h>

#include <string>

#include "lib/format/limits.h"

using namespace tfs::format;
using namespace std::string_view_literals;

TEST_CASE("names are components without a meaning to the kernel") {
  for (std::string_view name : {"a"sv, "..."sv, "..a"sv, ".a"sv, "a."sv, " "sv, "\n"sv, "\\"sv, "\xff\xfe"sv, "*"sv}) {
    CHECK(is_name(name));
    CHECK(is_rel_path(name));
  }
  for (std::string_view name : {""sv, "."sv, ".."sv, "/"sv, "a/b"sv, "a\0"sv, "\0"sv}) CHECK(!is_name(name));
}

TEST_CASE("a name has 255 bytes at most") {
  CHECK(is_name(std::string(254, 'n')));
  CHECK(is_name(std::string(255, 'n')));
  CHECK(!is_name(std::string(256, 'n')));
}

TEST_CASE("a relative path is names joined by single slashes, or the top") {
  for (std::string_view path : {"."sv, "a"sv, "a/b"sv, "a/b/c"sv, "a/.../b"sv, "a/\xff"sv}) CHECK(is_rel_path(path));
  for (std::string_view path : {""sv, "/"sv, "/a"sv, "a/"sv, "a//b"sv, "./a"sv, "a/."sv, "a/./b"sv, ".."sv, "../a"sv, "a/.."sv,
                                "a/../b"sv, "a\0b"sv, "a/b\0"sv, "./"sv, "//"sv}) {
    CHECK(!is_rel_path(path));
  }
}

TEST_CASE("a path has 65535 bytes at most") {
  std::string path;
  while (path.size() < kMaxPath) path += std::string(255, 'n') + "/";
  path.pop_back();
  REQUIRE(path.size() == kMaxPath);
  CHECK(is_rel_path(path));
  CHECK(is_rel_path(std::string_view(path).substr(1)));
  CHECK(!is_rel_path(path + "n"));
  CHECK(!is_rel_path(std::string(kMaxPath - 255, 'n')));
  path[10] = '/';
  CHECK(is_rel_path(path));
  CHECK(!is_rel_path("n" + path));
}

TEST_CASE("a path is taken apart into directory and name") {
  CHECK(parent_of("a") == ".");
  CHECK(parent_of("a/b") == "a");
  CHECK(parent_of("a/b/c") == "a/b");
  CHECK(name_of("a"sv) == "a");
  CHECK(name_of("a/b"sv) == "b");
  CHECK(name_of("a/b/c"sv) == "c");
}
