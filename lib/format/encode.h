// Records to frames. Refuses nothing: callers hold the limits (journal), or check with decode() what they made (tfs_dump).
#pragma once

#include <concepts>
#include <cstdint>
#include <vector>

#include "lib/format/crc32c.h"
#include "lib/format/endian.h"
#include "lib/format/frame.h"
#include "lib/format/records.h"

namespace tfs::format {

// Which frame it is, and of which object.
struct Label {
  uint64_t seq = 0;
  uint64_t id = 0;
  uint32_t links = 0;
};

// Counts the payload's bytes, all but [data].
struct SizeVisitor {
  size_t size = 0;
  void magic(const char*, std::string_view s) { size += s.size(); }
  void u32(const char*, uint32_t) { size += 4; }
  void u64(const char*, uint64_t) { size += 8; }
  void epoch(const char*, const Epoch& e) { size += e.bytes.size(); }
  void time(const char*, const Time&) { size += 12; }
  void text(const char*, std::string_view s) { size += 2 + s.size(); }
  void entry(const char*, std::string_view s) { size += 2 + s.size(); }
  void entry_or_none(const char*, std::string_view s) { size += 2 + s.size(); }
  void object(const char*, std::string_view s) { size += 2 + s.size(); }
  void target(const char*, std::string_view s) { size += 2 + s.size(); }
  void target_or_none(const char*, std::string_view s) { size += 2 + s.size(); }
  void xattr_name(const char*, std::string_view s) { size += 2 + s.size(); }
  void blob(const char*, ByteView b) { size += 4 + b.size(); }
  void xattrs(const char*, ByteView b) { size += 4 + b.size(); }
  void entries(const char*, ByteView b) { size += 4 + b.size(); }
  void data(const char*, ByteView) {}
};

// Writes the payload's bytes, all but [data], which it notes.
struct StoreVisitor {
  std::byte* at;
  ByteView rest{};
  void bytes(const void* from, size_t n) {
    if (n > 0) std::memcpy(at, from, n);
    at += n;
  }
  void magic(const char*, std::string_view s) { bytes(s.data(), s.size()); }
  void u16(size_t value) {
    store_le<uint16_t>(at, static_cast<uint16_t>(value));
    at += 2;
  }
  void u32(const char*, uint32_t value) {
    store_le<uint32_t>(at, value);
    at += 4;
  }
  void u64(const char*, uint64_t value) {
    store_le<uint64_t>(at, value);
    at += 8;
  }
  void epoch(const char*, const Epoch& e) { bytes(e.bytes.data(), e.bytes.size()); }
  void time(const char* tag, const Time& t) {
    u64(tag, static_cast<uint64_t>(t.sec));
    u32(tag, t.nsec);
  }
  void text(const char*, std::string_view s) {
    u16(s.size());
    bytes(s.data(), s.size());
  }
  void entry(const char* tag, std::string_view s) { text(tag, s); }
  void entry_or_none(const char* tag, std::string_view s) { text(tag, s); }
  void object(const char* tag, std::string_view s) { text(tag, s); }
  void target(const char* tag, std::string_view s) { text(tag, s); }
  void target_or_none(const char* tag, std::string_view s) { text(tag, s); }
  void xattr_name(const char* tag, std::string_view s) { text(tag, s); }
  void blob(const char* tag, ByteView b) {
    u32(tag, static_cast<uint32_t>(b.size()));
    bytes(b.data(), b.size());
  }
  void xattrs(const char* tag, ByteView b) { blob(tag, b); }
  void entries(const char* tag, ByteView b) { blob(tag, b); }
  void data(const char*, ByteView b) { rest = b; }
};

// Bytes of header and payload without [data].
template <class R>
size_t head_size(const R& record) {
  SizeVisitor v;
  R::fields(v, record);
  return kHeaderSize + v.size;
}

// Writes head_size() bytes at `at`: all of the frame but [data] and the padding. `data_checksum` is crc32c(0, [data]), so that a
// payload can be summed before the seq is known, and written from where it lies. Returns the bytes of the whole frame with padding.
template <class R>
size_t store_head(const Label& label, const R& record, uint32_t data_checksum, std::byte* at) {
  StoreVisitor v{at + kHeaderSize};
  R::fields(v, record);
  size_t head = static_cast<size_t>(v.at - at);
  Header h{static_cast<uint32_t>(head + v.rest.size()), R::kType, 0, 0, label.links, label.seq, label.id};
  store_header(h, at);
  uint32_t sum = crc32c(0, {at, head});
  if (!v.rest.empty()) sum = crc32c_join(sum, data_checksum, v.rest.size());
  store_le<uint32_t>(at + 8, sum);
  return h.stride();
}

// Appends the whole frame, padding included.
template <class R>
void append_frame(const Label& label, const R& record, std::vector<std::byte>& out) {
  ByteView data;
  if constexpr (requires {
                  { record.data } -> std::convertible_to<ByteView>;
                })
    data = record.data;
  size_t start = out.size(), head = head_size(record);
  out.resize(start + round_up(head + data.size(), kAlignment));
  store_head(label, record, crc32c(0, data), out.data() + start);
  if (!data.empty()) std::memcpy(out.data() + start + head, data.data(), data.size());
}

// What [xattrs] of CREATE, MKDIR and MKNOD holds: appends one name and value.
void append_xattr(std::string_view name, ByteView value, std::vector<std::byte>& out);

// What [entries] of LIST holds: appends one name and its type (DT_* of readdir(3)).
void append_entry(uint8_t type, std::string_view name, std::vector<std::byte>& out);

}  // namespace tfs::format
