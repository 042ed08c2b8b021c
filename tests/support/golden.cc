// Writes the streams of tests/golden: golden DIR. They were made once, when version 1 was, and are never edited: what this
// program writes is compared with them (golden-streams-still-decode.test), so it and the encoder must stay as they were, too.
#include <fcntl.h>

#include <cstdint>
#include <cstdio>

#include "lib/sys/io.h"
#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;

namespace {

constexpr uint64_t kTop = UINT64_MAX;
constexpr uint64_t kMost = INT64_MAX;  // of an offset
constexpr Time kLate{1'800'000'000, kMaxNanosecond};
constexpr Time kHalfBefore1970{-1, 500'000'000};

class Stream {
 public:
  void put(const Label& label, const Record& record) { test::append(bytes_, test::encode(label, record)); }
  void put_raw(ByteView frame) { test::append(bytes_, frame); }
  void next(uint64_t id, uint32_t links, const Record& record) { put({++seq_, id, links}, record); }

  Status save(const char* dir, const char* name) const {
    std::string path = std::string(dir) + "/v1-" + name + ".stream";
    sys::Fd fd = TFS_TRY(sys::open_at("golden.open", AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666));
    TFS_TRY(sys::write_all("golden.write", fd.get(), bytes_));
    return fd.close("golden.close", "unable to write " + path);
  }

 private:
  test::Bytes bytes_;
  uint64_t seq_ = 0;
};

Hello hello(uint8_t epoch) {
  Hello h;
  h.epoch = test::epoch_of(epoch);
  h.time = kLate;
  h.host = "source";
  h.store = "/srv/store";
  return h;
}

Status save_every_record(const char* dir) {
  test::Bytes xattrs, one_xattr;
  append_xattr("system.posix_acl_access", as_bytes(std::string_view("\2\0\0\0", 4)), xattrs);
  append_xattr("user.\"empty\"", {}, xattrs);
  append_xattr(std::string(kMaxXattrName, '\xff'), as_bytes("\x80"), xattrs);
  append_xattr("user.\n", as_bytes("ab"), one_xattr);
  std::string long_name = std::string(kMaxName, 'n'), target = std::string(kMaxTarget, '/');
  Stream s;
  s.put({}, hello(0xa0));
  s.next(10, 1, Create{0100644, 0, 4294967295, kLate, kHalfBefore1970, "file", {}});
  s.next(11, 0, Create{0100600, 33, 33, {0, 0}, {}, "", xattrs});
  s.next(12, 2, Mkdir{041777, 1, 2, {INT64_MIN, 0}, {INT64_MAX, kMaxNanosecond}, "d", one_xattr});
  s.next(13, 1, Mknod{020666, 0, 0, 1, 3, {1, 1}, {-1, 1}, "d/null", {}});
  s.next(14, 1, Mknod{060640, 0, 6, 259, 1048575, {INT64_MIN, 1}, {-2, kMaxNanosecond}, "d/disk", xattrs});
  s.next(15, 1, Mknod{010600, 7, 8, 0, 0, {}, {}, "d/fifo", {}});
  s.next(16, 1, Symlink{1000, 1000, kLate, kLate, "d/link", "../\xe4\xf6\xfc \\ \"x\""});
  s.next(17, 1, Symlink{0, 0, {}, {}, long_name, target});
  s.next(10, 2, Link{kLate, "file", "d/file\t2"});
  s.next(11, 1, Link{kLate, "", "d/taken back"});
  s.next(10, 1, Unlink{0, kLate, "file"});
  s.next(10, 0, Unlink{kUnlinkKeep, kLate, "d/file\t2"});
  s.next(18, 0, Rmdir{kLate, "was a directory"});
  s.next(13, 1, Rename{0, 0, 0, 0, {}, kLate, kHalfBefore1970, "d/null", "null"});
  s.next(13, 1, Rename{kRenameExchange, 14, 0, 0, {}, kLate, kLate, "null", "d/disk"});
  s.next(13, 1, Rename{kRenameWhiteout, 0, 1, 2, {3, 4}, kLate, kLate, "d/disk", "x"});
  s.next(13, 1, Rename{kRenameReplace | kRenameKeep, kTop, 0, 0, {}, kLate, kLate, "x", "y\x01\x7f"});
  s.next(kTop, 0, Forget{});
  s.next(10, 0, Write{0, kLate, 0, "", as_bytes("to a file without a name")});
  s.next(11, 1, Write{kMost - 4, kHalfBefore1970, 0100755, "d/taken back", as_bytes(std::string_view("\0\x01\xfe\xff", 4))});
  s.next(11, 1, Write{1, kLate, 0, "d/taken back", {}});
  s.next(11, 1, Truncate{kMost, kLate, 0, "d/taken back"});
  s.next(10, 0, Truncate{0, kLate, 0100000, ""});
  s.next(11, 1, Fallocate{3, 4096, 8192, kLate, 0, "d/taken back"});
  s.next(11, 1, Copy{10, 5, 6, 7, kLate, 0, "", "d/taken back"});
  s.next(11, 1, Copy{11, kMost - 1, 0, 1, kLate, 0106755, "d/taken back", "d/taken back"});
  s.next(11, 1, Sync{0, "d/taken back"});
  s.next(1, 0, Sync{kSyncData, "."});
  s.next(1, 0, SetAttr{kSetMode, 040755, 0, 0, {}, {}, "."});
  s.next(11, 1, SetAttr{31, 0104711, 4294967295, 4294967294, kHalfBefore1970, {-62135596800, 1}, "d/taken back"});
  s.next(11, 1, SetXattr{0, "d/taken back", "user.big", as_bytes("value\n")});
  s.next(12, 2, SetXattr{041770, "d", "system.posix_acl_access", {}});
  s.next(12, 2, RemoveXattr{041777, "d", "system.posix_acl_access"});
  s.next(11, 1, SetFlags{kFlagsInode, 0x10, 0, "d/taken back"});
  s.next(12, 2, SetFlags{kFlagsInode | kFlagsProject, 0x20000020, 4294967295, "d"});
  s.next(0, 0, Heartbeat{kLate});
  s.put({41, 0, 0}, Gap{37, kLate});
  s.put({42, 0, 0}, End{kLate});
  return s.save(dir, "every-record");
}

// A file with each byte that a name can have, names that other formats trip over, and a path as deep as they come.
Status save_names(const char* dir) {
  Stream s;
  s.put({}, hello(0xb0));
  for (int c = 1; c < 256; c++) {
    if (c == '/') continue;
    std::string name = std::string("b") + static_cast<char>(c);
    s.next(100 + static_cast<uint64_t>(c), 1, Rmdir{{}, name});
  }
  for (std::string_view name : {"...",
                                ".hidden",
                                "..x",
                                " ",
                                "-",
                                "--",
                                "\\",
                                "\\x41",
                                "\\\\",
                                "\"",
                                "\\\"",
                                "a\nb",
                                "\r",
                                "\xc3\xa4",
                                "\xc3",
                                "\xed\xa0\x80",
                                "\xf0\x9f\x90\xa7",
                                "{}",
                                "null",
                                "%s",
                                "$(x)",
                                "*",
                                "'"}) {
    s.next(7, 1, Sync{0, name});
  }
  std::string deep = "d";
  while (deep.size() + 2 <= 4096) deep += "/d";
  s.next(8, 1, Sync{0, deep});
  s.next(0, 0, End{});
  return s.save(dir, "names");
}

// A reader that joined late, numbers at their ends, types of another version, an epoch behind an epoch.
Status save_joined_late(const char* dir) {
  Stream s;
  s.put({}, hello(0xc0));
  test::Bytes flagged = test::encode({kTop - 10, 1, 0}, Sync{0, "."});
  store_le<uint16_t>(flagged.data() + 6, kFlagSkippable);
  test::seal(flagged);
  s.put_raw(flagged);
  s.put({kTop - 9, 1, 0}, Sync{0, "."});
  s.put({}, hello(0xc0));
  s.put({kTop - 5, 0, 0}, Gap{kTop - 8, {}});
  s.put_raw(test::raw_frame(999, kTop - 4, as_bytes("of a later version"), kFlagSkippable));
  s.put_raw(test::raw_frame(65535, kTop - 3, {}, 0xffff));
  s.put_raw(test::raw_frame(0, kTop - 2, as_bytes(std::string_view("\0", 1))));
  s.put({kTop - 1, kTop, UINT32_MAX}, Forget{});
  s.put({kTop, 0, 0}, End{});
  Hello other = hello(0xd0);
  other.flags = UINT32_MAX;
  other.host = "";
  other.store = "";
  s.put({}, other);
  s.put({1, 0, 0}, End{});
  return s.save(dir, "joined-late");
}

// A scan of a small store, with a change between its frames and an answer behind its end.
Status save_scan(const char* dir) {
  test::Bytes xattrs, more_xattrs, first, last;
  append_xattr("user.y", {}, more_xattrs);
  append_xattr("user.x", as_bytes(std::string_view("\0\xff", 2)), xattrs);
  for (uint8_t type : {0, 1, 2, 4, 6, 8, 10, 12}) append_entry(type, "t" + std::to_string(type), first);
  append_entry(8, std::string(kMaxName, '\xfe'), first);
  append_entry(8, "a\n\"\\", last);
  Stream s;
  s.put({}, hello(0xf0));
  s.next(0, 0, ScanBegin{kTop, kTop - 1, kScanWhole, "."});
  s.next(1, 2, Entry{kEntryMore, 040755, 0, 0, 0, 0, 0x1000, 0, kLate, ".", "", xattrs});
  s.next(1, 2, Entry{0, 040755, 0, 0, 0, 0, 0x1000, 0, kLate, ".", "", more_xattrs});
  s.next(1, 0, List{kListFirst, ".", first});
  s.next(21, 1, Create{0100644, 1, 2, kLate, kHalfBefore1970, "new", {}});
  s.next(1, 0, List{kListLast, ".", last});
  s.next(22, 2, Entry{0, 0104755, 4294967295, 3, 0, 0, 0x10, kMost, kHalfBefore1970, "a\n\"\\", "", {}});
  s.next(22, 2, Hash{0, kHashBlock, 0x80000001, kTop, 1, "a\n\"\\"});
  s.next(22, 2, Hash{uint64_t{1} << 40, 1, 1, 0, kTop, "a\n\"\\"});
  s.next(23, 1, Entry{0, 0120777, 0, 0, 0, 0, 0, 0, {INT64_MIN, 0}, "t10", "\xff\\", {}});
  s.next(24, 1, Entry{0, 020666, 0, 0, 1, 1048575, 0, 0, {}, "t2", "", {}});
  s.next(25, 0, Entry{0, 0100600, 0, 0, 0, 0, 0, 5, {}, "", "", {}});
  s.next(25, 0, Hash{0, 5, 0, 1, 2, ""});
  s.next(26, 0, List{kListFirst | kListLast, "t4", {}});
  s.next(0, 0, ScanEnd{kTop, 7, kTop});
  s.next(22, 0, Data{4096, "a\n\"\\", as_bytes("differs\n")});
  s.next(22, 0, Hole{8192, kMost - 8192, "a\n\"\\"});
  s.next(22, 0, Data{0, "", {}});
  s.next(22, 0, Given{0, kMost, "a\n\"\\"});
  s.next(0, 0, ScanBegin{1, 0, kScanQuick, "d/e"});
  s.next(0, 0, End{kLate});
  return s.save(dir, "scan");
}

// The example of tfs_stream(5).
Status save_example(const char* dir) {
  constexpr Time kNoon{1'785'585'600, 0};
  Stream s;
  Hello h;
  h.flags = kHelloEmpty;
  h.epoch = test::epoch_of(0xe0);
  h.time = kNoon;
  h.host = "box";
  h.store = "/store";
  s.put({}, h);
  s.next(12, 1, Create{0100644, 1000, 100, {kNoon.sec + 1, 0}, {kNoon.sec + 1, 0}, "a", {}});
  s.next(12, 1, Write{0, {kNoon.sec + 1, 500}, 0, "a", as_bytes("hi\n")});
  s.next(0, 0, End{{kNoon.sec + 2, 0}});
  return s.save(dir, "example");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: golden DIR\n");
    return 2;
  }
  for (auto save : {save_every_record, save_names, save_joined_late, save_scan, save_example}) {
    Status status = save(argv[1]);
    if (status) continue;
    std::fprintf(stderr, "golden: %s\n", status.error().message().c_str());
    return 1;
  }
  return 0;
}
