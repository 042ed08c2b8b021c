#include "lib/format/decode.h"

#include <doctest/doctest.h>

#include "lib/format/rel_path.h"
#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;
using test::Bytes;

namespace {

// What decode() says of a record that the encoder, which refuses nothing, was given: "" for nothing.
std::string verdict(const Record& record) {
  Bytes frame = test::encode({1, 2, 3}, record);
  Status header = check_header(test::frame_at(frame).header);
  if (!header) return header.error().detail;
  Result<Record> decoded = decode(test::frame_at(frame));
  if (decoded) return "";
  CHECK(decoded.error().kind == Kind::kCorrupt);
  return decoded.error().detail;
}

Write write_to(std::string_view path) { return {0, {}, 0, path, {}}; }

// A path of exactly `size` bytes, of names as long as they can be.
std::string path_of(size_t size) {
  std::string path;
  while (path.size() < size) path += std::string(std::min(kMaxName, size - path.size()), 'n') + "/";
  path.pop_back();
  if (path.size() < size) path += "n";
  return path;
}

}  // namespace

TEST_CASE("each record survives being encoded and decoded") {
  for (uint64_t seed = 0; seed < 40; seed++) {
    test::RecordMaker maker(seed, 3000);
    for (size_t n = 0; n < test::RecordMaker::kTypes; n++) {
      Record record = maker.make(n);
      Label label = maker.label(seed);
      Bytes frame = test::encode(label, record);
      REQUIRE(check_frame(test::frame_at(frame)).ok());
      Result<Record> decoded = decode(test::frame_at(frame));
      REQUIRE(decoded.ok());
      CHECK(decoded->index() == record.index());
      CHECK(test::encode(label, *decoded) == frame);
    }
  }
}

TEST_CASE("every payload that is cut or too long is refused") {
  test::RecordMaker maker(7);
  for (size_t n = 0; n < test::RecordMaker::kTypes; n++) {
    Record record = maker.make(n);
    // Any length of [data] is one.
    if (auto* write = std::get_if<Write>(&record)) write->data = {};
    if (auto* data = std::get_if<Data>(&record)) data->data = {};
    bool has_data = std::holds_alternative<Write>(record) || std::holds_alternative<Data>(record);
    Bytes whole = test::encode({1, 2, 3}, record);
    Frame frame = test::frame_at(whole);
    auto type = static_cast<uint16_t>(frame.header.type);
    for (size_t size = 0; size < frame.payload().size(); size++) {
      CHECK(!decode(test::frame_at(test::raw_frame(type, 1, frame.payload().first(size)))).ok());
    }
    Bytes longer = test::copy_of(frame.payload());
    longer.push_back({});
    CHECK(decode(test::frame_at(test::raw_frame(type, 1, longer))).ok() == has_data);
  }
}

TEST_CASE("a type without a name is refused") {
  for (uint16_t type : {0, 5, 15, 25, 999, 65535}) {
    Result<Record> record = decode(test::frame_at(test::raw_frame(type, 1, {}, kFlagSkippable)));
    REQUIRE(!record.ok());
    CHECK(record.error().detail == "frame of the unknown type " + std::to_string(type));
  }
}

TEST_CASE("a path has at most 65535 bytes") {
  for (size_t size : {kMaxPath - 1, kMaxPath}) {
    std::string path = path_of(size);
    REQUIRE(path.size() == size);
    CHECK(verdict(write_to(path)) == "");
    CHECK(verdict(Rename{0, 0, 0, 0, {}, {}, {}, path, path}) == "");
  }
  // The next one does not fit in the length: the encoder's caller has to see to it.
  CHECK(!is_rel_path(path_of(kMaxPath + 1)));
}

TEST_CASE("a name has at most 255 bytes") {
  CHECK(verdict(Rmdir{{}, std::string(254, 'n')}) == "");
  CHECK(verdict(Rmdir{{}, std::string(255, 'n')}) == "");
  CHECK(verdict(Rmdir{{}, std::string(256, 'n')}) == "RMDIR frame with a wrong [path]");
  CHECK(verdict(Rmdir{{}, "d/" + std::string(256, 'n') + "/f"}) == "RMDIR frame with a wrong [path]");
}

TEST_CASE("a target has 1 to 4095 bytes") {
  auto symlink = [](size_t size) { return verdict(Symlink{0, 0, {}, {}, "l", std::string(size, 't')}); };
  auto entry = [](size_t size) { return verdict(Entry{0, 0120777, 0, 0, 0, 0, 0, 0, {}, "l", std::string(size, 't'), {}}); };
  CHECK(symlink(0) == "SYMLINK frame with a wrong [target]");
  CHECK(symlink(1) == "");
  CHECK(symlink(4094) == "");
  CHECK(symlink(4095) == "");
  CHECK(symlink(4096) == "SYMLINK frame with a wrong [target]");
  CHECK(entry(0) == "");
  CHECK(entry(4095) == "");
  CHECK(entry(4096) == "ENTRY frame with a wrong [target]");
  CHECK(verdict(Entry{0, 0120777, 0, 0, 0, 0, 0, 0, {}, "l", std::string_view("a\0b", 3), {}}) ==
        "ENTRY frame with a wrong [target]");
}

TEST_CASE("the name of an extended attribute has 1 to 255 bytes") {
  auto name = [](size_t size) { return verdict(RemoveXattr{0, "f", std::string(size, 'x')}); };
  CHECK(name(0) == "REMOVEXATTR frame with a wrong [name]");
  CHECK(name(1) == "");
  CHECK(name(254) == "");
  CHECK(name(255) == "");
  CHECK(name(256) == "REMOVEXATTR frame with a wrong [name]");
}

TEST_CASE("the value of an extended attribute has at most 65536 bytes") {
  auto value = [](size_t size) { return verdict(SetXattr{0, "f", "user.x", Bytes(size)}); };
  CHECK(value(0) == "");
  CHECK(value(65535) == "");
  CHECK(value(65536) == "");
  CHECK(value(65537) == "SETXATTR frame with a wrong [value]");
}

TEST_CASE("attributes in a list have the same limits") {
  auto list = [](size_t name, size_t value) {
    Bytes xattrs;
    append_xattr("user.first", as_bytes("1"), xattrs);
    append_xattr(std::string(name, 'x'), Bytes(value), xattrs);
    return verdict(Mkdir{0, 0, 0, {}, {}, "d", xattrs});
  };
  CHECK(list(1, 0) == "");
  CHECK(list(255, 65536) == "");
  CHECK(list(0, 0) == "MKDIR frame with a wrong [xattrs]");
  CHECK(list(256, 0) == "MKDIR frame with a wrong [xattrs]");
  CHECK(list(1, 65537) == "MKDIR frame with a wrong [xattrs]");
}

TEST_CASE("a list of attributes ends where its length says") {
  Bytes xattrs;
  append_xattr("user.x", as_bytes("value"), xattrs);
  for (size_t size = 1; size < xattrs.size(); size++) {
    CHECK(verdict(Mkdir{0, 0, 0, {}, {}, "d", ByteView(xattrs).first(size)}) == "MKDIR frame with a wrong [xattrs]");
  }
}

TEST_CASE("the names of a listing are names") {
  auto list = [](std::string_view name) {
    Bytes entries;
    append_entry(8, "first", entries);
    append_entry(255, name, entries);
    return verdict(List{0, ".", entries});
  };
  CHECK(list("n") == "");
  CHECK(list(std::string(255, 'n')) == "");
  for (std::string_view name : {"", ".", "..", "a/b", "/"}) CHECK(list(name) == "LIST frame with a wrong [entries]");
  CHECK(list(std::string(256, 'n')) == "LIST frame with a wrong [entries]");
  Bytes entries;
  append_entry(8, "name", entries);
  for (size_t size = 1; size < entries.size(); size++) {
    CHECK(verdict(List{0, ".", ByteView(entries).first(size)}) == "LIST frame with a wrong [entries]");
  }
}

TEST_CASE("a hash covers 131072 bytes at most") {
  auto hash = [](uint32_t length) { return verdict(Hash{0, length, 0, 0, 0, "f"}); };
  CHECK(hash(131071) == "");
  CHECK(hash(131072) == "");
  CHECK(hash(131073) == "HASH frame with a wrong [length]");
  CHECK(hash(UINT32_MAX) == "HASH frame with a wrong [length]");
}

TEST_CASE("data has at most a mebibyte") {
  auto write = [](size_t size) { return verdict(Write{0, {}, 0, "f", Bytes(size)}); };
  CHECK(write(kMaxData - 1) == "");
  CHECK(write(kMaxData) == "");
  CHECK(write(kMaxData + 1) == "WRITE frame with a wrong [data]");
  CHECK(verdict(Data{0, "f", Bytes(kMaxData)}) == "");
  CHECK(verdict(Data{0, "f", Bytes(kMaxData + 1)}) == "DATA frame with a wrong [data]");
}

TEST_CASE("the most data and the longest path fit in one frame") {
  CHECK(verdict(Write{0, {}, 0, path_of(kMaxPath), Bytes(kMaxData)}) == "");
}

TEST_CASE("all fields but data have at most 262144 bytes") {
  auto fields = [](size_t size) {
    size_t fixed = head_size(Mkdir{0, 0, 0, {}, {}, "d", {}}) - kHeaderSize;
    size_t left = size - fixed;
    Bytes xattrs;
    for (; left > 65536; left -= 60000) append_xattr("user.x", Bytes(60000 - 12), xattrs);
    append_xattr("user.x", Bytes(left - 12), xattrs);
    Mkdir mkdir{0, 0, 0, {}, {}, "d", xattrs};
    CHECK(head_size(mkdir) - kHeaderSize == size);
    return verdict(mkdir);
  };
  CHECK(fields(kMaxFields - 1) == "");
  CHECK(fields(kMaxFields) == "");
  CHECK(fields(kMaxFields + 1) == "MKDIR frame with more than 262144 bytes of fields");
}

TEST_CASE("the texts of HELLO have at most 4096 bytes") {
  auto hello = [](size_t size) {
    Hello h;
    h.store = std::string_view();
    std::string host(size, 'h');
    h.host = host;
    return verdict(h);
  };
  CHECK(hello(4095) == "");
  CHECK(hello(4096) == "");
  CHECK(hello(4097) == "HELLO frame with a wrong [host]");
}

TEST_CASE("nanoseconds are less than a second") {
  auto heartbeat = [](uint32_t nsec) { return verdict(Heartbeat{{-1, nsec}}); };
  CHECK(heartbeat(999'999'998) == "");
  CHECK(heartbeat(999'999'999) == "");
  CHECK(heartbeat(1'000'000'000) == "HEARTBEAT frame with a wrong [time]");
  CHECK(heartbeat(UINT32_MAX) == "HEARTBEAT frame with a wrong [time]");
}

TEST_CASE("paths that could lead astray are refused") {
  using namespace std::string_view_literals;
  for (std::string_view path :
       {".."sv, "../a"sv, "a/.."sv, "a/../b"sv, "/"sv, "/a"sv, "a/"sv, "a//b"sv, "a/."sv, "./a"sv, "a\0b"sv}) {
    CHECK(verdict(write_to(path)) == "WRITE frame with a wrong [path]");
    CHECK(verdict(Rmdir{{}, path}) == "RMDIR frame with a wrong [path]");
    CHECK(verdict(Link{{}, path, "b"}) == "LINK frame with a wrong [path]");
    CHECK(verdict(Link{{}, "b", path}) == "LINK frame with a wrong [new-path]");
  }
}

TEST_CASE("an empty path and the top stand only where they mean something") {
  CHECK(verdict(write_to("")) == "");
  CHECK(verdict(write_to(".")) == "");
  CHECK(verdict(Create{0, 0, 0, {}, {}, "", {}}) == "");
  CHECK(verdict(Create{0, 0, 0, {}, {}, ".", {}}) == "CREATE frame with a wrong [path]");
  CHECK(verdict(Link{{}, "", "a"}) == "");
  CHECK(verdict(Link{{}, "a", ""}) == "LINK frame with a wrong [new-path]");
  CHECK(verdict(Unlink{0, {}, ""}) == "UNLINK frame with a wrong [path]");
  CHECK(verdict(Rmdir{{}, "."}) == "RMDIR frame with a wrong [path]");
  CHECK(verdict(Rename{0, 0, 0, 0, {}, {}, {}, "a", "."}) == "RENAME frame with a wrong [new-path]");
}

TEST_CASE("a bit that means nothing yet is refused where it would mean an effect") {
  CHECK(verdict(Unlink{kUnlinkKeep, {}, "f"}) == "");
  CHECK(verdict(Unlink{2, {}, "f"}) == "UNLINK frame with an unknown bit in [flags]");
  CHECK(verdict(Rename{15, 0, 0, 0, {}, {}, {}, "a", "b"}) == "");
  CHECK(verdict(Rename{16, 0, 0, 0, {}, {}, {}, "a", "b"}) == "RENAME frame with an unknown bit in [flags]");
  CHECK(verdict(Sync{kSyncData, "."}) == "");
  CHECK(verdict(Sync{2, "."}) == "SYNC frame with an unknown bit in [flags]");
  CHECK(verdict(SetAttr{31, 0, 0, 0, {}, {}, "."}) == "");
  CHECK(verdict(SetAttr{32, 0, 0, 0, {}, {}, "."}) == "SETATTR frame with an unknown bit in [valid]");
  CHECK(verdict(SetFlags{3, 0, 0, "."}) == "");
  CHECK(verdict(SetFlags{4, 0, 0, "."}) == "SETFLAGS frame with an unknown bit in [valid]");
  CHECK(verdict(ScanBegin{1, 1, kScanWhole, "."}) == "");
  CHECK(verdict(ScanBegin{1, 1, kScanQuick, "d"}) == "");
  CHECK(verdict(ScanBegin{1, 1, 4, "."}) == "SCANBEGIN frame with an unknown bit in [flags]");
  CHECK(verdict(List{3, ".", {}}) == "");
  CHECK(verdict(List{4, ".", {}}) == "LIST frame with an unknown bit in [flags]");
  CHECK(verdict(Hash{0, 0, UINT32_MAX, 0, 0, "f"}) == "");
  CHECK(verdict(Entry{2, 0100644, 0, 0, 0, 0, 0, 0, {}, "f", "", {}}) == "ENTRY frame with an unknown bit in [flags]");
  CHECK(verdict(Fallocate{19, 0, 0, {}, 0, "f"}) == "");
  CHECK(verdict(Fallocate{4, 0, 0, {}, 0, "f"}) == "FALLOCATE frame with an unknown bit in [flags]");
  CHECK(verdict(Hello{kMagic, kVersion, UINT32_MAX, test::epoch_of(1), {}, {}, {}}) == "");
}

TEST_CASE("another magic is refused") {
  Bytes frame = test::encode({}, test::hello_of(1));
  CHECK(decode(test::frame_at(frame)).ok());
  frame[kHeaderSize] = std::byte{'t'};
  CHECK(decode(test::frame_at(frame)).error().detail == "HELLO frame with a wrong [magic]");
}

TEST_CASE("a list of attributes is taken apart in its order") {
  Bytes list;
  append_xattr("user.a", as_bytes("1"), list);
  append_xattr("user.b", {}, list);
  ByteView left(list), value;
  std::string_view name;
  REQUIRE(next_xattr(left, name, value));
  CHECK(name == "user.a");
  CHECK(as_text(value) == "1");
  REQUIRE(next_xattr(left, name, value));
  CHECK(name == "user.b");
  CHECK(value.empty());
  CHECK(!next_xattr(left, name, value));
}

TEST_CASE("a listing is taken apart in its order") {
  Bytes list;
  append_entry(8, "a", list);
  append_entry(0, "b", list);
  ByteView left(list);
  std::string_view name;
  uint8_t type = 0;
  REQUIRE(next_entry(left, type, name));
  CHECK(name == "a");
  CHECK(type == 8);
  REQUIRE(next_entry(left, type, name));
  CHECK(name == "b");
  CHECK(type == 0);
  CHECK(!next_entry(left, type, name));
}
