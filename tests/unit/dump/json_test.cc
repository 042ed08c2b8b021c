#include "lib/dump/json.h"

#include <doctest/doctest.h>

using namespace tfs;
using namespace tfs::dump;

namespace {

std::string refusal(std::string_view text) {
  Result<JsonObject> object = JsonObject::parse(text);
  if (object) return "";
  CHECK(object.error().kind == Kind::kCorrupt);
  return object.error().detail;
}

std::string string_of(std::string_view value) {
  std::string storage;
  Result<std::string_view> text = json_string(value, storage);
  return text ? std::string(*text) : text.error().detail;
}

}  // namespace

TEST_CASE("members are found by their keys, in any order") {
  Result<JsonObject> object = JsonObject::parse("{\"a\":1,\"b\":\"x\",\"c\":[{\"d\":\"y\"},{}]}");
  REQUIRE(object.ok());
  CHECK(object->take("c").value() == "[{\"d\":\"y\"},{}]");
  CHECK(object->take("b").value() == "\"x\"");
  CHECK(object->has("a"));
  CHECK(!object->has("d"));
  CHECK(object->finish().error().detail == "\"a\" does not belong there");
  CHECK(object->take("a").value() == "1");
  CHECK(object->finish().ok());
  CHECK(object->take("d").error().detail == "\"d\" is missing");
}

TEST_CASE("white space may stand where JSON has it") {
  CHECK(refusal(" { \"a\" : 1 ,\t\"b\" : [ { \"c\" : 2 } , { } ] } \r") == "");
  CHECK(refusal("{}") == "");
  CHECK(refusal("{\"a\":[]}") == "");
}

TEST_CASE("what is no flat object is refused") {
  for (std::string_view text : {"",
                                " ",
                                "{",
                                "}",
                                "[]",
                                "1",
                                "\"a\"",
                                "{\"a\"}",
                                "{\"a\":}",
                                "{\"a\":1,}",
                                "{,}",
                                "{\"a\":1 \"b\":2}",
                                "{a:1}",
                                "{'a':1}",
                                "{\"a\":-1}",
                                "{\"a\":1.5}",
                                "{\"a\":01}",
                                "{\"a\":1e3}",
                                "{\"a\":true}",
                                "{\"a\":null}",
                                "{\"a\":{}}",
                                "{\"a\":[1]}",
                                "{\"a\":[\"x\"]}",
                                "{\"a\":[[]]}",
                                "{\"a\":[{\"b\":[]}]}",
                                "{\"a\":[{},]}",
                                "{\"a\":[{}}",
                                "{\"a\":1}x",
                                "{\"a\":1}{}",
                                "{\"a\":\"x}",
                                "{\"a\":\"x\\\"}",
                                "{\"a\":\"\x01\"}",
                                "{\"a\":\"\n\"}",
                                "{\"a\":1,\"a\":1}"}) {
    CAPTURE(text);
    CHECK(refusal(text) != "");
  }
}

TEST_CASE("every line that is cut is refused") {
  std::string_view line = "{\"a\":12,\"b\":\"x\\\\\\\"y\",\"c\":[{\"d\":\"y\"},{}]}";
  REQUIRE(refusal(line) == "");
  for (size_t size = 0; size < line.size(); size++) CHECK(refusal(line.substr(0, size)) != "");
}

TEST_CASE("more members than any line has are refused") {
  std::string text = "{";
  for (int i = 0; i < 40; i++) text += "\"" + std::to_string(i) + "\":1,";
  text.back() = '}';
  CHECK(refusal(text) == "an object with too many members");
}

TEST_CASE("a message holds no more than the beginning of what is wrong") {
  CHECK(refusal("{\"a\":" + std::string(1'000'000, '\xff')).size() < 200);
}

TEST_CASE("a number is 64 bits of digits") {
  CHECK(json_number("0").value() == 0);
  CHECK(json_number("18446744073709551615").value() == UINT64_MAX);
  CHECK(!json_number("18446744073709551616").ok());
  CHECK(!json_number("\"1\"").ok());
  CHECK(!json_number("[]").ok());
}

TEST_CASE("a string is what its escapes stand for") {
  CHECK(string_of("\"plain\"") == "plain");
  CHECK(string_of("\"\"") == "");
  CHECK(string_of(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(string_of(R"("\u0041\u005c\u007F")") == "A\\\x7f");
  CHECK(string_of(R"("\\x0a")") == "\\x0a");
}

TEST_CASE("unknown escapes and characters beyond ASCII are refused") {
  CHECK(string_of(R"("\x41")") == "an unknown escape in a string");
  for (std::string_view text :
       {R"("\u0080")", R"("\u00e4")", R"("\u12")", R"("\u")", R"("\u 041")", R"("\u-041")", R"("\u+041")", R"("\ud83d")"}) {
    CAPTURE(text);
    CHECK(string_of(text) == "a \\u that is no ASCII character");
  }
  CHECK(string_of("1") == "not a string");
}

TEST_CASE("the objects of an array are visited in their order") {
  std::string seen;
  auto visit = [&seen](JsonObject& object) -> Status {
    seen += TFS_TRY(object.take("n"));
    return {};
  };
  CHECK(json_each("[{\"n\":1},{\"n\":2}]", visit).ok());
  CHECK(seen == "12");
  CHECK(json_each("[]", visit).ok());
  CHECK(json_each("[{\"m\":1}]", visit).error().detail == "\"n\" is missing");
  CHECK(json_each("1", visit).error().detail == "not an array");
}
