// A frame as a line, and a line as a frame: to_json.h with from_json.h.
#include <doctest/doctest.h>

#include "lib/dump/from_json.h"
#include "lib/dump/to_json.h"
#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;
using namespace tfs::dump;
using test::Bytes;

namespace {

std::string line_of(const Bytes& bytes, bool with_data = true) {
  Frame frame = test::frame_at(bytes);
  std::string out;
  bool is_known = !name_of(frame.header.type).empty();
  Result<Record> record = is_known ? decode(frame) : Record(Forget{});
  REQUIRE(record.ok());
  append_line(frame, is_known ? &*record : nullptr, with_data, out);
  return out;
}

std::string refusal(std::string_view line) {
  Bytes out(3);
  Status status = append_frame_of(line, out);
  if (status) return "";
  CHECK(status.error().kind == Kind::kCorrupt);
  CHECK(out == Bytes(3));
  return status.error().detail;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

constexpr std::string_view kWrite =
    R"({"type":"WRITE","seq":5,"id":12,"links":1,"offset":4096,"mtime":"1.000000002","mode":0,"path":"a/b","data":"aGk="})";

}  // namespace

TEST_CASE("a line has the header's fields, then the record's in the order of the page") {
  Bytes write = test::encode({5, 12, 1}, Write{4096, {1, 2}, 0, "a/b", as_bytes("hi")});
  CHECK(line_of(write) == std::string(kWrite) + "\n");
  CHECK(line_of(test::encode({7, 3, 0}, Forget{})) == "{\"type\":\"FORGET\",\"seq\":7,\"id\":3,\"links\":0}\n");
}

TEST_CASE("without data a line has its size") {
  Bytes write = test::encode({5, 12, 1}, Write{4096, {1, 2}, 0, "a/b", as_bytes("hi")});
  CHECK(line_of(write, false) == replaced(std::string(kWrite), "\"data\":\"aGk=\"", "\"data-size\":2") + "\n");
}

TEST_CASE("names of any bytes make lines of ASCII") {
  Bytes frame = test::encode({1, 2, 0}, Symlink{1, 2, {}, {-1, 500'000'000}, "a\n\"\\\xff", "t\x7f"});
  CHECK(line_of(frame) ==
        R"({"type":"SYMLINK","seq":1,"id":2,"links":0,"uid":1,"gid":2,"mtime":"0.000000000","parent-mtime":"-0.500000000",)"
        R"("path":"a\\x0a\"\\\\\\xff","target":"t\\x7f"})"
        "\n");
}

TEST_CASE("attributes are an array of names and values") {
  Bytes xattrs;
  append_xattr("user.a", as_bytes("1"), xattrs);
  append_xattr("user.\x01", {}, xattrs);
  CHECK(line_of(test::encode({1, 2, 1}, Mkdir{16877, 0, 0, {}, {}, "d", xattrs})) ==
        R"({"type":"MKDIR","seq":1,"id":2,"links":1,"mode":16877,"uid":0,"gid":0,"mtime":"0.000000000",)"
        R"("parent-mtime":"0.000000000","path":"d","xattrs":[{"name":"user.a","value":"MQ=="},{"name":"user.\\x01","value":""}]})"
        "\n");
}

TEST_CASE("a listing is an array of names and types") {
  Bytes entries;
  append_entry(8, "a\n", entries);
  append_entry(4, "b", entries);
  CHECK(line_of(test::encode({1, 2, 0}, List{3, "d", entries})) ==
        R"({"type":"LIST","seq":1,"id":2,"links":0,"flags":3,"path":"d",)"
        R"("entries":[{"name":"a\\x0a","kind":8},{"name":"b","kind":4}]})"
        "\n");
  CHECK(refusal(R"({"type":"LIST","seq":1,"id":2,"links":0,"flags":3,"path":"d","entries":[{"name":"b","kind":256}]})") ==
        "[entries]: [kind]: a number beyond 255");
}

TEST_CASE("HELLO shows its epoch in hexadecimal") {
  Hello hello = test::hello_of(0xa0);
  hello.host = "h";
  CHECK(line_of(test::encode({}, hello)) ==
        R"({"type":"HELLO","seq":0,"id":0,"links":0,"magic":"TFSTREAM","version":1,"flags":0,)"
        R"("epoch":"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf","time":"0.000000000","host":"h","store":""})"
        "\n");
}

TEST_CASE("frames of unknown types and with unknown flags stay what they are") {
  Bytes unknown = test::raw_frame(999, 4, as_bytes("xyz"), kFlagSkippable);
  std::string line = "{\"type\":999,\"seq\":4,\"id\":0,\"links\":0,\"frame-flags\":1,\"payload\":\"eHl6\"}";
  CHECK(line_of(unknown) == line + "\n");
  Bytes out;
  REQUIRE(append_frame_of(line, out).ok());
  CHECK(out == unknown);
  Bytes unlink = test::encode({1, 2, 0}, Unlink{kUnlinkKeep, {}, "f"});
  store_le<uint16_t>(unlink.data() + 6, 0x8002);
  test::seal(unlink);
  out.clear();
  line = line_of(unlink);
  REQUIRE(append_frame_of(line.substr(0, line.size() - 1), out).ok());
  CHECK(out == unlink);
}

TEST_CASE("each record comes back as the same bytes, in lines of ASCII") {
  for (uint64_t seed = 0; seed < 40; seed++) {
    test::RecordMaker maker(seed, 3000);
    for (size_t n = 0; n < test::RecordMaker::kTypes; n++) {
      Label label = maker.label(seed);
      Bytes frame = test::encode(label, maker.make(n));
      std::string line = line_of(frame);
      REQUIRE(line.ends_with('\n'));
      line.pop_back();
      for (char c : line) REQUIRE((c >= 0x20 && c < 0x7f));
      Bytes out;
      REQUIRE(append_frame_of(line, out).ok());
      CHECK(out == frame);
    }
  }
}

TEST_CASE("members may come in any order") {
  Bytes out, expected = test::encode({5, 12, 1}, Sync{0, "f"});
  REQUIRE(append_frame_of(R"( { "path": "f", "links": 1, "flags": 0, "id": 12, "seq": 5, "type": "SYNC" } )", out).ok());
  CHECK(out == expected);
}

TEST_CASE("a member too few, too many or twice is refused") {
  std::string line(kWrite);
  REQUIRE(refusal(line) == "");
  CHECK(refusal(replaced(line, "\"offset\":4096,", "")) == "\"offset\" is missing");
  CHECK(refusal(replaced(line, "\"seq\":5,", "")) == "\"seq\" is missing");
  CHECK(refusal(replaced(line, "\"type\":\"WRITE\",", "")) == "\"type\" is missing");
  CHECK(refusal(replaced(line, "\"mode\":0", "\"mode\":0,\"size\":1")) == "\"size\" does not belong there");
  CHECK(refusal(replaced(line, "\"mode\":0", "\"mode\":0,\"mode\":0")) == "\"mode\" stands there twice");
}

TEST_CASE("a line without its data makes no frame") {
  CHECK(refusal(replaced(std::string(kWrite), "\"data\":\"aGk=\"", "\"data-size\":2")) == "\"data\" is missing");
}

TEST_CASE("a value of the wrong kind or size is refused") {
  std::string line(kWrite);
  CHECK(refusal(replaced(line, "4096", "\"4096\"")) == "[offset]: not a number of 64 bits");
  CHECK(refusal(replaced(line, "4096", "18446744073709551616")) == "[offset]: not a number of 64 bits");
  CHECK(refusal(replaced(line, "\"mode\":0", "\"mode\":4294967296")) == "[mode]: a number beyond 4294967295");
  CHECK(refusal(replaced(line, "\"links\":1", "\"links\":4294967296")) == "[links]: a number beyond 4294967295");
  CHECK(refusal(replaced(line, "\"links\":1", "\"links\":1,\"frame-flags\":65536")) == "[frame-flags]: a number beyond 65535");
  CHECK(refusal(replaced(line, "1.000000002", "1")) == "[mtime]: not a time (SECONDS.NNNNNNNNN): 1");
  CHECK(refusal(replaced(line, "aGk=", "aGk")) == "[data]: not base64");
  CHECK(refusal(replaced(line, "a/b", "a\\\\x62")) == "[path]: not escaped as tfs_dump does it");
  CHECK(refusal(replaced(line, "a/b", "\xc3\xa4")) == "[path]: not escaped as tfs_dump does it");
  CHECK(refusal(replaced(line, "\"WRITE\"", "\"WROTE\"")) == "no type of frame: WROTE");
  CHECK(refusal(replaced(line, "\"WRITE\"", "65536")) == "a number beyond 65535");
}

TEST_CASE("what no reader takes is not made") {
  std::string line(kWrite);
  CHECK(refusal(replaced(line, "a/b", "../b")) == "WRITE frame with a wrong [path]");
  CHECK(refusal(R"({"type":"SYNC","seq":1,"id":1,"links":0,"flags":2,"path":"."})") ==
        "SYNC frame with an unknown bit in [flags]");
  CHECK(refusal(R"({"type":32,"seq":1,"id":1,"links":0,"payload":""})") == "the number of a type that has a name");
}

TEST_CASE("lengths that a frame cannot say are refused, not cut off") {
  std::string line(kWrite), name(255, 'n'), path;
  while (path.size() < 65536) path += name + "/";
  path.resize(65536);
  CHECK(refusal(replaced(line, "a/b", path)) == "[path]: longer than a frame can hold");
  CHECK(refusal(replaced(line, "a/b", path.substr(0, 65535))) == "");
  CHECK(refusal(R"({"type":1,"seq":0,"id":0,"links":0,"payload":""})") == "the number of a type that has a name");
  std::string payload(1'400'000, 'A');
  CHECK(refusal(R"({"type":999,"seq":1,"id":1,"links":0,"payload":")" + payload + "\"}") == "");
  payload += std::string(400'000, 'A');
  CHECK(refusal(R"({"type":999,"seq":1,"id":1,"links":0,"payload":")" + payload + "\"}").starts_with("frame of 1350032 bytes"));
  CHECK(refusal(R"({"type":"HELLO","seq":0,"id":0,"links":0,"magic":"TFSTREAM\u0001","version":1,"flags":0,)"
                R"("epoch":"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf","time":"0.000000000","host":"h","store":""})") ==
        "[magic]: not TFSTREAM");
}
