#include "lib/format/encode.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/support/frames.h"

using namespace tfs;
using namespace tfs::format;
using test::Bytes;

namespace {

constexpr Label kLabel{0x0807060504030201, 0x1817161514131211, 0x24232221};
constexpr Time kTime{1, 2};
constexpr Time kBefore1970{-1, 500'000'000};

struct Literal {
  Label label;
  Record record;
  std::string_view hex;  // spaces are for people
};

std::string without_spaces(std::string_view text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return c != ' '; });
  return out;
}

}  // namespace

// The bytes were made by another program, from tfs_stream(5) alone.
TEST_CASE("each type of frame has the bytes that the page says") {
  Bytes xattrs, entries;
  append_xattr("user.x", as_bytes("\x01\x02"), xattrs);
  append_entry(8, "a", entries);
  append_entry(4, "bc", entries);
  const Literal literals[] = {
      {{},
       Hello{.flags = kHelloEmpty, .epoch = test::epoch_of(0), .time = kTime, .host = "h", .store = "/s"},
       "53000000 01000000 2fc48090 00000000 00000000 00000000 00000000 00000000 "
       "54465354 5245414d 01000000 01000000 00010203 04050607 08090a0b 0c0d0e0f "
       "01000000 00000000 02000000 01006802 002f7300 00000000 00000000 00000000"},
      {kLabel, End{kTime},
       "2c000000 02000000 c01902bc 21222324 01020304 05060708 11121314 15161718 "
       "01000000 00000000 02000000 00000000"},
      {kLabel, Heartbeat{kBefore1970},
       "2c000000 03000000 763cbc3e 21222324 01020304 05060708 11121314 15161718 "
       "ffffffff ffffffff 0065cd1d 00000000"},
      {kLabel, Gap{0x0102, kTime},
       "34000000 04000000 9d8d580b 21222324 01020304 05060708 11121314 15161718 "
       "02010000 00000000 01000000 00000000 02000000 00000000 00000000 00000000"},
      {kLabel, Create{0100644, 1, 2, kTime, kBefore1970, "f", xattrs},
       "59000000 10000000 1ef6eec8 21222324 01020304 05060708 11121314 15161718 "
       "a4810000 01000000 02000000 01000000 00000000 02000000 ffffffff ffffffff "
       "0065cd1d 0100660e 00000006 00757365 722e7802 00000001 02000000 00000000"},
      {kLabel, Mkdir{040755, 1, 2, kTime, kBefore1970, "d", {}},
       "4b000000 11000000 f7038384 21222324 01020304 05060708 11121314 15161718 "
       "ed410000 01000000 02000000 01000000 00000000 02000000 ffffffff ffffffff "
       "0065cd1d 01006400 00000000 00000000"},
      {kLabel, Mknod{020666, 1, 2, 3, 4, kTime, kBefore1970, "n", {}},
       "53000000 12000000 c4148473 21222324 01020304 05060708 11121314 15161718 "
       "b6210000 01000000 02000000 03000000 04000000 01000000 00000000 02000000 "
       "ffffffff ffffffff 0065cd1d 01006e00 00000000 00000000 00000000 00000000"},
      {kLabel, Symlink{1, 2, kTime, kBefore1970, "l", "../t"},
       "49000000 13000000 e2185827 21222324 01020304 05060708 11121314 15161718 "
       "01000000 02000000 01000000 00000000 02000000 ffffffff ffffffff 0065cd1d "
       "01006c04 002e2e2f 74000000 00000000"},
      {kLabel, Link{kTime, "f", "d/g"},
       "34000000 14000000 7df6a8b6 21222324 01020304 05060708 11121314 15161718 "
       "01000000 00000000 02000000 01006603 00642f67 00000000 00000000 00000000"},
      {kLabel, Unlink{kUnlinkKeep, kTime, "f"},
       "33000000 15000000 48e2fe64 21222324 01020304 05060708 11121314 15161718 "
       "01000000 01000000 00000000 02000000 01006600 00000000 00000000 00000000"},
      {kLabel, Rmdir{kTime, "d"},
       "2f000000 16000000 cd2ae2e3 21222324 01020304 05060708 11121314 15161718 "
       "01000000 00000000 02000000 01006400"},
      {kLabel, Rename{kRenameReplace, 9, 1, 2, kTime, kBefore1970, kTime, "a", "b"},
       "5e000000 17000000 1f9542ce 21222324 01020304 05060708 11121314 15161718 "
       "04000000 09000000 00000000 01000000 02000000 01000000 00000000 02000000 "
       "ffffffff ffffffff 0065cd1d 01000000 00000000 02000000 01006101 00620000"},
      {kLabel, Forget{}, "20000000 18000000 ffc3fcc9 21222324 01020304 05060708 11121314 15161718"},
      {kLabel, Write{0x1122334455667788, kTime, 0100600, "f", as_bytes("hi")},
       "3d000000 20000000 c8e0def9 21222324 01020304 05060708 11121314 15161718 "
       "88776655 44332211 01000000 00000000 02000000 80810000 01006668 69000000"},
      {kLabel, Truncate{7, kTime, 0, "f"},
       "3b000000 21000000 22cb11c1 21222324 01020304 05060708 11121314 15161718 "
       "07000000 00000000 01000000 00000000 02000000 00000000 01006600 00000000"},
      {kLabel, Fallocate{3, 4096, 8192, kTime, 0, "f"},
       "47000000 22000000 1327d39c 21222324 01020304 05060708 11121314 15161718 "
       "03000000 00100000 00000000 00200000 00000000 01000000 00000000 02000000 "
       "00000000 01006600 00000000 00000000"},
      {kLabel, Copy{5, 6, 7, 8, kTime, 0, "", "f"},
       "55000000 23000000 f370f582 21222324 01020304 05060708 11121314 15161718 "
       "05000000 00000000 06000000 00000000 07000000 00000000 08000000 00000000 "
       "01000000 00000000 02000000 00000000 00000100 66000000 00000000 00000000"},
      {kLabel, Sync{kSyncData, "."},
       "27000000 24000000 3277aecd 21222324 01020304 05060708 11121314 15161718 "
       "01000000 01002e00 00000000 00000000"},
      {kLabel, SetAttr{31, 0100600, 1, 2, kBefore1970, kTime, "f"},
       "4b000000 30000000 6c0f84ce 21222324 01020304 05060708 11121314 15161718 "
       "1f000000 80810000 01000000 02000000 ffffffff ffffffff 0065cd1d 01000000 "
       "00000000 02000000 01006600 00000000"},
      {kLabel, SetXattr{0, "f", "user.x", as_bytes("\xff")},
       "34000000 31000000 d177623c 21222324 01020304 05060708 11121314 15161718 "
       "00000000 01006606 00757365 722e7801 000000ff 00000000 00000000 00000000"},
      {kLabel, RemoveXattr{0, "f", "user.x"},
       "2f000000 32000000 67f4ee69 21222324 01020304 05060708 11121314 15161718 "
       "00000000 01006606 00757365 722e7800"},
      {kLabel, SetFlags{kFlagsInode | kFlagsProject, 16, 7, "f"},
       "2f000000 33000000 ad6c2293 21222324 01020304 05060708 11121314 15161718 "
       "03000000 10000000 07000000 01006600"},
      {kLabel, ScanBegin{0x1122334455667788, 9, kScanWhole, "."},
       "37000000 40000000 62d2efab 21222324 01020304 05060708 11121314 15161718 "
       "88776655 44332211 09000000 00000000 01000000 01002e00 00000000 00000000"},
      {kLabel, List{kListFirst | kListLast, "d", entries},
       "34000000 41000000 912ad796 21222324 01020304 05060708 11121314 15161718 "
       "03000000 01006409 00000008 01006104 02006263 00000000 00000000 00000000"},
      {kLabel, Entry{kEntryMore, 0120777, 1, 2, 3, 4, 5, 6, kTime, "l", "t", xattrs},
       "68000000 42000000 9d18961b 21222324 01020304 05060708 11121314 15161718 "
       "01000000 ffa10000 01000000 02000000 03000000 04000000 05000000 06000000 "
       "00000000 01000000 00000000 02000000 01006c01 00740e00 00000600 75736572 "
       "2e780200 00000102 00000000 00000000"},
      {kLabel, Hash{0x20000, 0x1234, 1, 1, 2, "f"},
       "43000000 43000000 8c79f400 21222324 01020304 05060708 11121314 15161718 "
       "00000200 00000000 34120000 01000000 01000000 00000000 02000000 00000000 "
       "01006600 00000000 00000000 00000000"},
      {kLabel, Data{7, "f", as_bytes("hi")},
       "2d000000 44000000 e0b5d288 21222324 01020304 05060708 11121314 15161718 "
       "07000000 00000000 01006668 69000000"},
      {kLabel, Hole{7, 8, "f"},
       "33000000 45000000 539f2492 21222324 01020304 05060708 11121314 15161718 "
       "07000000 00000000 08000000 00000000 01006600 00000000 00000000 00000000"},
      {kLabel, Given{7, 8, ""},
       "32000000 46000000 b991b0e8 21222324 01020304 05060708 11121314 15161718 "
       "07000000 00000000 08000000 00000000 00000000 00000000 00000000 00000000"},
      {kLabel, ScanEnd{0x1122334455667788, 3, 4},
       "38000000 47000000 fcd315c7 21222324 01020304 05060708 11121314 15161718 "
       "88776655 44332211 03000000 00000000 04000000 00000000 00000000 00000000"},
  };
  std::set<size_t> types;
  for (const Literal& literal : literals) {
    CAPTURE(literal.record.index());
    CHECK(test::to_hex(test::encode(literal.label, literal.record)) == without_spaces(literal.hex));
    types.insert(literal.record.index());
  }
  CHECK(types.size() == test::RecordMaker::kTypes);
}

TEST_CASE("a head and its data make the frame that is made in one piece") {
  test::RecordMaker maker(11);
  for (int i = 0; i < 100; i++) {
    Record record = maker.make(Record(Write{}).index());
    const Write& write = std::get<Write>(record);
    Label label = maker.label(1);
    Bytes whole = test::encode(label, record);
    Bytes parts(head_size(write));
    size_t stride = store_head(label, write, crc32c(0, write.data), parts.data());
    test::append(parts, write.data);
    parts.resize(stride);
    CHECK(parts == whole);
  }
}

TEST_CASE("a frame is appended behind what is there") {
  Bytes out = test::encode(kLabel, End{kTime});
  Bytes alone = test::encode(kLabel, Sync{0, "f"});
  size_t start = out.size();
  append_frame(kLabel, Sync{0, "f"}, out);
  CHECK(Bytes(out.begin() + static_cast<ptrdiff_t>(start), out.end()) == alone);
}

TEST_CASE("frames end at multiples of 16 bytes") {
  for (size_t size = 0; size < 40; size++) {
    Bytes frame = test::encode({}, Write{0, {}, 0, "f", Bytes(size, std::byte{0xff})});
    CHECK(frame.size() % kAlignment == 0);
    CHECK(frame.size() - load_header(frame.data()).size < kAlignment);
    CHECK(check_frame(test::frame_at(frame)).ok());
  }
}
