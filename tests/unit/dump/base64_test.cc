#include "lib/dump/base64.h"

#include <doctest/doctest.h>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::dump;
using test::Bytes;

namespace {

std::string encoded(ByteView bytes) {
  std::string out;
  append_base64(bytes, out);
  return out;
}

std::string decoded(std::string_view text) {
  Bytes out;
  Status status = append_from_base64(text, out);
  return status ? std::string(as_text(out)) : status.error().detail;
}

}  // namespace

TEST_CASE("the examples of RFC 4648 come out, both ways") {
  const std::pair<std::string_view, std::string_view> examples[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (const auto& [bytes, text] : examples) {
    CHECK(encoded(as_bytes(bytes)) == text);
    CHECK(decoded(text) == bytes);
  }
}

TEST_CASE("bytes of all values and lengths come back") {
  for (size_t size = 0; size < 300; size++) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<std::byte>(i * 7 + size);
    Bytes back;
    REQUIRE(append_from_base64(encoded(bytes), back).ok());
    CHECK(back == bytes);
  }
}

TEST_CASE("what is there is kept") {
  std::string text = "x";
  append_base64(as_bytes("foo"), text);
  CHECK(text == "xZm9v");
  Bytes bytes(1, std::byte{'x'});
  REQUIRE(append_from_base64("Zm8=", bytes).ok());
  CHECK(as_text(bytes) == "xfo");
}

TEST_CASE("only one text stands for each sequence of bytes") {
  for (std::string_view text : {"Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zh==", "Zm9=", "Zm8=Zm8=", "Zm 8", "Zm8\n", "Zm-_",
                                "Zg=a", "=Zg=", "Zm9vZ\xff==", "\xff\xff\xff\xff"}) {
    CAPTURE(text);
    CHECK(decoded(text) == "not base64");
  }
}
