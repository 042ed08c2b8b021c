#include "lib/journal/uring_entry.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string_view>

using namespace tfs;
using namespace tfs::journal;

namespace {

// As the kernel does it: the headers at the start, the payload in its own buffer.
void put_request(UringEntry& entry, const fuse_in_header& head, std::string_view fixed, std::string_view payload) {
  auto [headers, body] = entry.buffers();
  auto* at = static_cast<char*>(headers.iov_base);
  std::memcpy(at, &head, sizeof head);
  std::memcpy(at + 128, fixed.data(), fixed.size());
  uint32_t size = static_cast<uint32_t>(payload.size());
  std::memcpy(at + 256 + 16, &size, sizeof size);
  std::memcpy(body.iov_base, payload.data(), payload.size());
}

fuse_in_header head_of(uint64_t unique, size_t size) {
  fuse_in_header head{};
  head.len = static_cast<uint32_t>(sizeof head + size);
  head.opcode = FUSE_WRITE;
  head.unique = unique;
  return head;
}

}  // namespace

TEST_CASE("uring entry: a request lies there in one piece") {
  Result<UringEntry> made = UringEntry::make();
  REQUIRE(made);
  UringEntry& entry = *made;
  put_request(entry, head_of(77, 16 + 5), "0123456789abcdef", "hello");
  REQUIRE(entry.open_request());
  CHECK(entry.unique() == 77);
  const char* bytes = reinterpret_cast<const char*>(&entry.request());
  CHECK(entry.request().opcode == FUSE_WRITE);
  CHECK(std::string_view(bytes + sizeof(fuse_in_header), 21) == "0123456789abcdefhello");

  put_request(entry, head_of(78, 0), "", "");
  REQUIRE(entry.open_request());
  CHECK(entry.unique() == 78);
}

TEST_CASE("uring entry: what is none is refused") {
  Result<UringEntry> made = UringEntry::make();
  REQUIRE(made);
  UringEntry& entry = *made;
  put_request(entry, head_of(1, 4), "", "hello");  // less than its payload
  CHECK_FALSE(entry.open_request());
  put_request(entry, head_of(1, 200), "", "hello");  // a fixed part that has no room
  CHECK_FALSE(entry.open_request());
  put_request(entry, head_of(1, 7), "", "");  // unaligned
  CHECK_FALSE(entry.open_request());
}

TEST_CASE("uring entry: an answer") {
  Result<UringEntry> made = UringEntry::make();
  REQUIRE(made);
  UringEntry& entry = *made;
  put_request(entry, head_of(9, 0), "", "");
  REQUIRE(entry.open_request());
  auto [headers, body] = entry.buffers();
  auto payload_size = [&, at = static_cast<const char*>(headers.iov_base)] {
    uint32_t size = 0;
    std::memcpy(&size, at + 256 + 16, sizeof size);
    return size;
  };

  // In parts, of which one lies where it has to be already.
  fuse_out_header out{sizeof out + 8, 0, 9};
  std::memcpy(entry.room().data(), "body", 4);
  char rest[] = "rest";
  iovec parts[] = {{&out, sizeof out}, {entry.room().data(), 4}, {rest, 4}};
  entry.answer(parts);
  entry.wait_until_answered();
  CHECK(std::string_view(static_cast<const char*>(body.iov_base), 8) == "bodyrest");
  CHECK(payload_size() == 8);
  CHECK(std::memcmp(headers.iov_base, &out, sizeof out) == 0);

  put_request(entry, head_of(10, 0), "", "");
  REQUIRE(entry.open_request());
  entry.refuse(EIO);
  entry.wait_until_answered();
  fuse_out_header refused{};
  std::memcpy(&refused, headers.iov_base, sizeof refused);
  CHECK(refused.error == -EIO);
  CHECK(refused.unique == 10);
  CHECK(payload_size() == 0);
}
