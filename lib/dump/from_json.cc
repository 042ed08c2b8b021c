#include "lib/dump/from_json.h"

#include <cstdint>
#include <deque>
#include <optional>

#include "lib/base/escape.h"
#include "lib/dump/base64.h"
#include "lib/dump/json.h"
#include "lib/dump/time_text.h"
#include "lib/dump/to_json.h"
#include "lib/format/decode.h"
#include "lib/format/encode.h"

namespace tfs::dump {
namespace {

// What a 16-bit length can say. The limits themselves are for decode() to see, which looks at all that is made here; but a
// length that is cut off would make another frame, and perhaps a legal one.
constexpr size_t kMaxShort = 65535;

// From here on, what the text of a value stands for.
Result<uint64_t> number_up_to(uint64_t most, std::string_view value) {
  uint64_t number = TFS_TRY(json_number(value));
  if (number > most) return corrupt("a number beyond " + std::to_string(most));
  return number;
}
Result<uint8_t> u8_of(std::string_view value) { return static_cast<uint8_t>(TFS_TRY(number_up_to(UINT8_MAX, value))); }
Result<uint16_t> u16_of(std::string_view value) { return static_cast<uint16_t>(TFS_TRY(number_up_to(UINT16_MAX, value))); }
Result<uint32_t> u32_of(std::string_view value) { return static_cast<uint32_t>(TFS_TRY(number_up_to(UINT32_MAX, value))); }

Result<std::string> string_of(std::string_view value) {
  std::string storage;
  std::string_view text = TFS_TRY(json_string(value, storage));
  return std::string(text);
}

// Without a length on the wire: another length would shift all that follows.
Result<std::string_view> magic_of(std::string_view value) {
  std::string text = TFS_TRY(string_of(value));
  if (text != format::kMagic) return corrupt("not " + std::string(format::kMagic));
  return format::kMagic;
}

Result<format::Epoch> epoch_of(std::string_view value) {
  std::string text = TFS_TRY(string_of(value));
  Result<format::Epoch> epoch = format::parse_epoch(text);
  if (!epoch) return corrupt("not an epoch (32 hexadecimal digits)");
  return epoch;
}

Result<format::Time> time_of(std::string_view value) {
  std::string text = TFS_TRY(string_of(value));
  return parse_time(text);
}

Result<std::string> escaped_of(std::string_view value) {
  std::string text = TFS_TRY(string_of(value));
  Result<std::string> bytes = unescape(text);
  if (!bytes) return corrupt("not escaped as tfs_dump does it");
  if (bytes->size() > kMaxShort) return corrupt("longer than a frame can hold");
  return bytes;
}

Result<std::vector<std::byte>> base64_of(std::string_view value) {
  std::string storage;
  std::string_view text = TFS_TRY(json_string(value, storage));
  std::vector<std::byte> bytes;
  TFS_TRY(append_from_base64(text, bytes));
  return bytes;
}

// Fills what it is shown from the members of the tags; the first that is wrong is kept, and all after it are left alone.
class JsonLoader {
 public:
  explicit JsonLoader(JsonObject& object) : object_(object) {}

  void magic(const char* tag, std::string_view& out) { load(tag, out, magic_of); }
  void u8(const char* tag, uint8_t& out) { load(tag, out, u8_of); }
  void u16(const char* tag, uint16_t& out) { load(tag, out, u16_of); }
  void u32(const char* tag, uint32_t& out) { load(tag, out, u32_of); }
  void u64(const char* tag, uint64_t& out) { load(tag, out, json_number); }
  void epoch(const char* tag, format::Epoch& out) { load(tag, out, epoch_of); }
  void time(const char* tag, format::Time& out) { load(tag, out, time_of); }
  void text(const char* tag, std::string_view& out) { bytes(tag, out); }
  void entry(const char* tag, std::string_view& out) { bytes(tag, out); }
  void entry_or_none(const char* tag, std::string_view& out) { bytes(tag, out); }
  void object(const char* tag, std::string_view& out) { bytes(tag, out); }
  void target(const char* tag, std::string_view& out) { bytes(tag, out); }
  void target_or_none(const char* tag, std::string_view& out) { bytes(tag, out); }
  void xattr_name(const char* tag, std::string_view& out) { bytes(tag, out); }
  void blob(const char* tag, ByteView& out) {
    auto& storage = blobs_.emplace_back();
    load(tag, storage, base64_of);
    out = storage;
  }
  void data(const char* tag, ByteView& out) { blob(tag, out); }
  void xattrs(const char* tag, ByteView& out);
  void entries(const char* tag, ByteView& out);

  Status status() const { return error_ ? Status(*error_) : Status(); }

 private:
  template <class T, class U>
  void load(const char* tag, T& out, Result<U> (*parse)(std::string_view)) {
    if (error_) return;
    Result<std::string_view> text = object_.take(tag);
    Result<U> value = text ? parse(*text) : Result<U>(text.error());
    if (value) out = std::move(*value);
    else error_ = text ? corrupt("[" + std::string(tag) + "]: " + value.error().detail) : text.error();
  }
  void bytes(const char* tag, std::string_view& out) {
    auto& storage = texts_.emplace_back();
    load(tag, storage, escaped_of);
    out = storage;
  }

  JsonObject& object_;
  std::optional<Error> error_;
  // What the views point at: a deque never moves its elements.
  std::deque<std::string> texts_;
  std::deque<std::vector<std::byte>> blobs_;
};

Status append_xattr_of(JsonObject& object, std::vector<std::byte>& list) {
  JsonLoader loader(object);
  std::string_view name;
  ByteView value;
  loader.xattr_name("name", name);
  loader.blob("value", value);
  TFS_TRY(loader.status());
  TFS_TRY(object.finish());
  format::append_xattr(name, value, list);
  return {};
}

Result<std::vector<std::byte>> xattrs_of(std::string_view value) {
  std::vector<std::byte> list;
  TFS_TRY(json_each(value, [&list](JsonObject& object) { return append_xattr_of(object, list); }));
  return list;
}

void JsonLoader::xattrs(const char* tag, ByteView& out) {
  auto& storage = blobs_.emplace_back();
  load(tag, storage, xattrs_of);
  out = storage;
}

Status append_entry_of(JsonObject& object, std::vector<std::byte>& list) {
  JsonLoader loader(object);
  std::string_view name;
  uint8_t kind = 0;
  loader.entry("name", name);
  loader.u8("kind", kind);
  TFS_TRY(loader.status());
  TFS_TRY(object.finish());
  format::append_entry(kind, name, list);
  return {};
}

Result<std::vector<std::byte>> entries_of(std::string_view value) {
  std::vector<std::byte> list;
  TFS_TRY(json_each(value, [&list](JsonObject& object) { return append_entry_of(object, list); }));
  return list;
}

void JsonLoader::entries(const char* tag, ByteView& out) {
  auto& storage = blobs_.emplace_back();
  load(tag, storage, entries_of);
  out = storage;
}

template <class R>
Status append_record(const format::Label& label, JsonObject& object, std::vector<std::byte>& out) {
  R record{};
  JsonLoader loader(object);
  R::fields(loader, record);
  TFS_TRY(loader.status());
  TFS_TRY(object.finish());
  format::append_frame(label, record, out);
  return {};
}

template <size_t I = 0>
Status append_named(std::string_view name, const format::Label& label, JsonObject& object, std::vector<std::byte>& out) {
  if constexpr (I == std::variant_size_v<format::Record>) {
    return corrupt("no type of frame: " + escape(name));
  } else {
    using R = std::variant_alternative_t<I, format::Record>;
    if (name == format::name_of(R::kType)) return append_record<R>(label, object, out);
    return append_named<I + 1>(name, label, object, out);
  }
}

// A frame of a type that has no name in this version.
Status append_unknown(uint16_t type, const format::Label& label, JsonObject& object, std::vector<std::byte>& out) {
  format::Header header{0, static_cast<format::RecordType>(type), 0, 0, label.links, label.seq, label.id};
  if (!format::name_of(header.type).empty()) return corrupt("the number of a type that has a name");
  JsonLoader loader(object);
  ByteView payload;
  loader.blob("payload", payload);
  TFS_TRY(loader.status());
  TFS_TRY(object.finish());
  header.size = static_cast<uint32_t>(format::kHeaderSize + payload.size());
  size_t start = out.size();
  out.resize(start + header.stride());
  format::store_header(header, out.data() + start);
  std::copy(payload.begin(), payload.end(), out.begin() + static_cast<ptrdiff_t>(start + format::kHeaderSize));
  return {};
}

// Gives a frame that is otherwise complete its [flags], and the checksum that goes with them.
void seal(uint16_t flags, std::span<std::byte> bytes) {
  format::Header header = format::load_header(bytes.data());
  header.flags = flags;
  header.checksum = 0;
  format::store_header(header, bytes.data());
  header.checksum = format::crc32c(0, bytes.first(header.size));
  format::store_header(header, bytes.data());
}

Status append_checked(JsonObject& object, std::vector<std::byte>& out) {
  format::Label label;
  uint16_t flags = 0;
  JsonLoader loader(object);
  loader.u64("seq", label.seq);
  loader.u64("id", label.id);
  loader.u32("links", label.links);
  if (object.has(kFrameFlags)) loader.u16(kFrameFlags, flags);
  TFS_TRY(loader.status());

  size_t start = out.size();
  std::string_view type = TFS_TRY(object.take("type"));
  bool has_name = type.starts_with('"');
  if (has_name) {
    std::string name = TFS_TRY(string_of(type));
    TFS_TRY(append_named(name, label, object, out));
  } else {
    uint16_t number = TFS_TRY(u16_of(type));
    TFS_TRY(append_unknown(number, label, object, out));
  }
  std::span<std::byte> made = std::span(out).subspan(start);
  TFS_TRY(format::check_header(format::load_header(made.data())));
  seal(flags, made);
  if (has_name) TFS_TRY(format::decode({format::load_header(made.data()), made}));
  return {};
}

}  // namespace

Status append_frame_of(std::string_view line, std::vector<std::byte>& out) {
  size_t start = out.size();
  JsonObject object = TFS_TRY(JsonObject::parse(line));
  Status status = append_checked(object, out);
  if (!status) out.resize(start);
  return status;
}

}  // namespace tfs::dump
