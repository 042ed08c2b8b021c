#include "lib/format/decode.h"

#include "lib/format/endian.h"
#include "lib/format/rel_path.h"

namespace tfs::format {
namespace {

// Reads fields off the front of a payload; the first that is wrong is kept, and all after it are left alone.
class LoadVisitor {
 public:
  explicit LoadVisitor(ByteView payload) : left_(payload) {}

  void magic(const char* tag, std::string_view& out) {
    out = as_text(take(tag, kMagic.size()));
    require(tag, out == kMagic);
  }
  void u32(const char* tag, uint32_t& out) { integer(tag, out); }
  void u64(const char* tag, uint64_t& out) { integer(tag, out); }
  void epoch(const char* tag, Epoch& out) {
    ByteView bytes = take(tag, out.bytes.size());
    if (!bytes.empty()) std::memcpy(out.bytes.data(), bytes.data(), bytes.size());
  }
  void time(const char* tag, Time& out) {
    uint64_t sec = 0;
    integer(tag, sec);
    integer(tag, out.nsec);
    out.sec = static_cast<int64_t>(sec);
    require(tag, out.nsec <= kMaxNanosecond);
  }
  void text(const char* tag, std::string_view& out) { short_bytes(tag, out, kMaxText); }
  void entry(const char* tag, std::string_view& out) {
    short_bytes(tag, out, kMaxPath);
    require(tag, out != "." && is_rel_path(out));
  }
  void entry_or_none(const char* tag, std::string_view& out) {
    short_bytes(tag, out, kMaxPath);
    require(tag, out.empty() || (out != "." && is_rel_path(out)));
  }
  void object(const char* tag, std::string_view& out) {
    short_bytes(tag, out, kMaxPath);
    require(tag, out.empty() || is_rel_path(out));
  }
  void target(const char* tag, std::string_view& out) {
    target_or_none(tag, out);
    require(tag, !out.empty());
  }
  void target_or_none(const char* tag, std::string_view& out) {
    short_bytes(tag, out, kMaxTarget);
    require(tag, out.find('\0') == std::string_view::npos);
  }
  void xattr_name(const char* tag, std::string_view& out) {
    short_bytes(tag, out, kMaxXattrName);
    require(tag, !out.empty() && out.find('\0') == std::string_view::npos);
  }
  void blob(const char* tag, ByteView& out) { long_bytes(tag, out, kMaxXattrValue); }
  void xattrs(const char* tag, ByteView& out) {
    long_bytes(tag, out, kMaxFields);
    LoadVisitor inner(out);
    while (inner.ok() && !inner.left_.empty()) {
      std::string_view name;
      ByteView value;
      inner.xattr_name(tag, name);
      inner.blob(tag, value);
    }
    require(tag, inner.ok());
  }
  void entries(const char* tag, ByteView& out) {
    long_bytes(tag, out, kMaxFields);
    LoadVisitor inner(out);
    while (inner.ok() && !inner.left_.empty()) {
      uint8_t type = 0;
      std::string_view name;
      inner.list_entry(tag, type, name);
    }
    require(tag, inner.ok());
  }
  void list_entry(const char* tag, uint8_t& type, std::string_view& name) {
    integer(tag, type);
    short_bytes(tag, name, kMaxName);
    require(tag, is_name(name));
  }
  void data(const char* tag, ByteView& out) {
    require(tag, left_.size() <= kMaxData);
    out = take(tag, left_.size());
  }

  bool ok() const { return wrong_ == nullptr; }
  const char* wrong() const { return wrong_; }
  bool is_done() const { return left_.empty(); }
  ByteView left() const { return left_; }

 private:
  void require(const char* tag, bool holds) {
    if (!holds && wrong_ == nullptr) wrong_ = tag;
  }
  ByteView take(const char* tag, size_t size) {
    require(tag, size <= left_.size());
    if (!ok()) return {};
    ByteView taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }
  template <class Int>
  void integer(const char* tag, Int& out) {
    ByteView bytes = take(tag, sizeof out);
    if (!bytes.empty()) out = load_le<Int>(bytes.data());
  }
  void short_bytes(const char* tag, std::string_view& out, size_t limit) {
    uint16_t size = 0;
    integer(tag, size);
    require(tag, size <= limit);
    out = as_text(take(tag, size));
  }
  void long_bytes(const char* tag, ByteView& out, size_t limit) {
    uint32_t size = 0;
    integer(tag, size);
    require(tag, size <= limit);
    out = take(tag, size);
  }

  ByteView left_;
  const char* wrong_ = nullptr;
};

// The tag of a field with a bit that means nothing in this version: the frame has an effect that nobody here knows. (HELLO has
// no effect; bits there tell what may be left unheard.)
template <class R>
const char* unknown_bits(const R&) {
  return nullptr;
}
const char* unknown_bits(const Unlink& r) { return r.flags & ~kUnlinkKeep ? "flags" : nullptr; }
const char* unknown_bits(const Rename& r) {
  return r.flags & ~(kRenameExchange | kRenameWhiteout | kRenameReplace | kRenameKeep) ? "flags" : nullptr;
}
const char* unknown_bits(const Fallocate& r) {
  return r.flags & ~(kFallocateKeepSize | kFallocatePunchHole | kFallocateZeroRange) ? "flags" : nullptr;
}
const char* unknown_bits(const Sync& r) { return r.flags & ~kSyncData ? "flags" : nullptr; }
const char* unknown_bits(const SetAttr& r) {
  return r.valid & ~(kSetMode | kSetUid | kSetGid | kSetAtime | kSetMtime) ? "valid" : nullptr;
}
const char* unknown_bits(const SetFlags& r) { return r.valid & ~(kFlagsInode | kFlagsProject) ? "valid" : nullptr; }
const char* unknown_bits(const ScanBegin& r) { return r.flags & ~(kScanWhole | kScanQuick) ? "flags" : nullptr; }
const char* unknown_bits(const List& r) { return r.flags & ~(kListFirst | kListLast) ? "flags" : nullptr; }
const char* unknown_bits(const Entry& r) { return r.flags & ~kEntryMore ? "flags" : nullptr; }

// A reader takes memory of this size.
template <class R>
bool is_too_long(const R&) {
  return false;
}
bool is_too_long(const Hash& r) { return r.length > kHashBlock; }

template <class R>
size_t data_size(const R& record) {
  if constexpr (requires { record.data; }) return record.data.size();
  return 0;
}

template <class R>
Status decode_as(const Frame& frame, Record& out) {
  R& record = out.emplace<R>();
  LoadVisitor v(frame.payload());
  R::fields(v, record);
  if (!v.ok()) return corrupt(std::string(name_of(R::kType)) + " frame with a wrong [" + v.wrong() + "]");
  if (!v.is_done()) return corrupt(std::string(name_of(R::kType)) + " frame with bytes behind its end");
  if (frame.payload().size() - data_size(record) > kMaxFields) {
    return corrupt(std::string(name_of(R::kType)) + " frame with more than " + std::to_string(kMaxFields) + " bytes of fields");
  }
  if (is_too_long(record)) return corrupt(std::string(name_of(R::kType)) + " frame with a wrong [length]");
  if (const char* tag = unknown_bits(record)) {
    return corrupt(std::string(name_of(R::kType)) + " frame with an unknown bit in [" + tag + "]");
  }
  return {};
}

template <size_t I = 0>
Status decode_any(const Frame& frame, Record& out) {
  if constexpr (I == std::variant_size_v<Record>) {
    return corrupt("frame of the unknown type " + std::to_string(static_cast<unsigned>(frame.header.type)));
  } else {
    using R = std::variant_alternative_t<I, Record>;
    if (frame.header.type == R::kType) return decode_as<R>(frame, out);
    return decode_any<I + 1>(frame, out);
  }
}

}  // namespace

Status decode(const Frame& frame, Record& out) { return decode_any(frame, out); }

Result<Record> decode(const Frame& frame) {
  Record record;
  TFS_TRY(decode(frame, record));
  return record;
}

bool next_xattr(ByteView& xattrs, std::string_view& name, ByteView& value) {
  if (xattrs.empty()) return false;
  LoadVisitor v(xattrs);
  v.xattr_name("", name);
  v.blob("", value);
  xattrs = v.left();
  return v.ok();
}

bool next_entry(ByteView& entries, uint8_t& type, std::string_view& name) {
  if (entries.empty()) return false;
  LoadVisitor v(entries);
  v.list_entry("", type, name);
  entries = v.left();
  return v.ok();
}

}  // namespace tfs::format
