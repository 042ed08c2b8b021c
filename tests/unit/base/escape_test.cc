#include "lib/base/escape.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace std::string_view_literals;

TEST_CASE("printable ASCII stays as it is") {
  std::string text;
  for (char c = 0x20; c < 0x7f; c++) {
    if (c != '\\') text += c;
  }
  CHECK(escape(text) == text);
}

TEST_CASE("all other bytes become \\xNN, and a backslash two") {
  CHECK(escape("") == "");
  CHECK(escape("\\") == "\\\\");
  CHECK(escape("\\x41") == "\\\\x41");
  CHECK(escape("a\nb\tc\0d\x7f\x80\xff"sv) == "a\\x0ab\\x09c\\x00d\\x7f\\x80\\xff");
}

TEST_CASE("as a string of JSON, quotes and backslashes are escaped once more") {
  CHECK(quote("a b") == "\"a b\"");
  CHECK(quote("a\"b\\c\n") == R"("a\"b\\\\c\\x0a")");
}

TEST_CASE("what was escaped is one line of printable ASCII, and comes back") {
  test::Random random(1);
  for (int i = 0; i < 2000; i++) {
    std::string bytes(random.below(40), '\0');
    for (char& c : bytes) c = random.once_in(3) ? "\\x0a'"[random.below(5)] : static_cast<char>(random.next());
    std::string text = escape(bytes);
    for (char c : text) CHECK((c >= 0x20 && c < 0x7f));
    Result<std::string> back = unescape(text);
    REQUIRE(back.ok());
    CHECK(*back == bytes);
  }
}

TEST_CASE("two texts never stand for the same bytes") {
  for (std::string_view text : {"\\"sv, "a\\"sv, "\\x"sv, "\\x0"sv, "\\n"sv, "\\x0G"sv, "\\x0A"sv, "\\X0a"sv, "\\x41"sv,
                                "\\x5c"sv, "\n"sv, "\x7f"sv, "\xc3\xa4"sv, "\0"sv, "\\\\\\"sv}) {
    Result<std::string> bytes = unescape(text);
    REQUIRE(!bytes.ok());
    CHECK(bytes.error().kind == Kind::kUsage);
    for (char c : bytes.error().message()) CHECK((c >= 0x20 && c < 0x7f));
  }
}
