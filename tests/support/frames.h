// Builders of streams for tests: a random one from a seed, with all types of records; and a reader that takes a stream in pieces
// of any size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/format/deframer.h"
#include "lib/format/encode.h"
#include "lib/format/sequence.h"

namespace tfs::test {

using Bytes = std::vector<std::byte>;

// SplitMix64: the same numbers everywhere from the same seed.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint64_t below(uint64_t limit) { return next() % limit; }
  bool once_in(uint64_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

inline Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

inline void append(Bytes& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

inline format::Epoch epoch_of(uint8_t first) {
  format::Epoch epoch;
  for (size_t i = 0; i < epoch.bytes.size(); i++) epoch.bytes[i] = static_cast<uint8_t>(first + i);
  return epoch;
}

inline format::Hello hello_of(uint8_t epoch) {
  format::Hello hello;
  hello.epoch = epoch_of(epoch);
  return hello;
}

inline Bytes encode(const format::Label& label, const format::Record& record) {
  Bytes out;
  std::visit([&](const auto& r) { format::append_frame(label, r, out); }, record);
  return out;
}

// Gives a frame whose header or payload was tampered with a checksum that holds.
inline void seal(std::span<std::byte> frame) {
  format::store_le<uint32_t>(frame.data() + 8, 0);
  size_t size = format::load_le<uint32_t>(frame.data());
  format::store_le<uint32_t>(frame.data() + 8, format::crc32c(0, frame.first(size)));
}

// A frame of any type, with any payload.
inline Bytes raw_frame(uint16_t type, uint64_t seq, ByteView payload, uint16_t flags = 0) {
  format::Header header{
      static_cast<uint32_t>(format::kHeaderSize + payload.size()), format::RecordType{type}, flags, 0, 0, seq, 0};
  Bytes out(header.stride());
  format::store_header(header, out.data());
  std::copy(payload.begin(), payload.end(), out.begin() + format::kHeaderSize);
  seal(out);
  return out;
}

inline format::Frame frame_at(ByteView bytes) {
  format::Header header = format::load_header(bytes.data());
  return {header, bytes.first(header.stride())};
}

// Where each frame of a valid stream begins, and where the last one ends.
inline std::vector<size_t> frame_starts(ByteView stream) {
  std::vector<size_t> starts{0};
  while (starts.back() < stream.size()) {
    starts.push_back(starts.back() + format::load_header(stream.data() + starts.back()).stride());
  }
  return starts;
}

// Makes random records. What their views point at lives as long as the maker.
class RecordMaker {
 public:
  explicit RecordMaker(uint64_t seed, size_t max_data = 200) : random_(seed), max_data_(max_data) {}

  Random& random() { return random_; }

  // Of the nth type of format::Record.
  format::Record make(size_t n) { return make_nth<0>(n); }
  format::Record make() { return make(random_.below(kTypes)); }
  format::Label label(uint64_t seq) {
    return {seq, random_.next() >> random_.below(64), static_cast<uint32_t>(random_.below(4))};
  }

  static constexpr size_t kTypes = std::variant_size_v<format::Record>;

  // As a visitor of fields().
  void magic(const char*, std::string_view&) {}
  void u32(std::string_view tag, uint32_t& out) {
    if (tag == "version") return;
    out = static_cast<uint32_t>(random_.next() >> random_.below(64));
    // Only bits that have a meaning, in all of the records with such a field.
    if (tag == "valid" || tag == "flags") out &= 1;
    if (tag == "length") out %= format::kHashBlock + 1;
  }
  void u64(std::string_view, uint64_t& out) { out = random_.next() >> random_.below(64); }
  void epoch(std::string_view, format::Epoch& out) { out = epoch_of(static_cast<uint8_t>(1 + random_.below(200))); }
  void time(std::string_view, format::Time& out) {
    out.sec = static_cast<int64_t>(random_.next()) >> random_.below(64);
    out.nsec = random_.once_in(4) ? static_cast<uint32_t>(random_.below(2) * format::kMaxNanosecond)
                                  : static_cast<uint32_t>(random_.below(1'000'000'000));
  }
  void text(std::string_view, std::string_view& out) { out = keep(name(40, 0)); }
  void entry(std::string_view, std::string_view& out) { out = keep(path()); }
  void entry_or_none(std::string_view, std::string_view& out) { out = random_.once_in(4) ? "" : keep(path()); }
  void object(std::string_view, std::string_view& out) {
    out = random_.once_in(4) ? (random_.once_in(2) ? "." : "") : keep(path());
  }
  void target(std::string_view, std::string_view& out) { out = keep("/" + name(80)); }
  void target_or_none(std::string_view, std::string_view& out) { out = random_.once_in(2) ? "" : keep(name(80)); }
  void xattr_name(std::string_view, std::string_view& out) { out = keep("user." + name(20)); }
  void blob(std::string_view, ByteView& out) { out = keep_bytes(random_.below(100)); }
  void data(std::string_view, ByteView& out) { out = keep_bytes(random_.below(max_data_)); }
  void xattrs(std::string_view, ByteView& out) {
    Bytes& list = blobs_.emplace_back();
    for (uint64_t n = random_.below(4); n > 0; n--) {
      std::string attribute = "user." + name(20);
      format::append_xattr(attribute, keep_bytes(random_.below(30)), list);
    }
    out = list;
  }
  void entries(std::string_view, ByteView& out) {
    Bytes& list = blobs_.emplace_back();
    for (uint64_t n = random_.below(6); n > 0; n--) {
      auto type = static_cast<uint8_t>(random_.next());
      format::append_entry(type, name(20), list);
    }
    out = list;
  }

 private:
  template <size_t I>
  format::Record make_nth(size_t n) {
    if constexpr (I < kTypes) {
      if (n != I) return make_nth<I + 1>(n);
      std::variant_alternative_t<I, format::Record> record;
      decltype(record)::fields(*this, record);
      return record;
    }
    return format::End{};
  }

  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }
  ByteView keep_bytes(size_t size) {
    Bytes& bytes = blobs_.emplace_back(size);
    for (auto& b : bytes) b = static_cast<std::byte>(random_.next());
    return bytes;
  }
  // Any byte but 0 and '/', with those that text formats trip over more often than others.
  std::string name(size_t limit, size_t least = 1) {
    constexpr std::string_view awkward = "\\\"\n\t .x\x7f\x80\xff'";
    std::string out(least + random_.below(limit), 'a');
    for (char& c : out) {
      if (random_.once_in(3)) c = awkward[random_.below(awkward.size())];
      else if (random_.once_in(3)) c = static_cast<char>(1 + random_.below(255));
      if (c == '/') c = '_';
    }
    if (out == "." || out == "..") out = "dots";
    return out;
  }
  std::string path() {
    std::string out = name(random_.once_in(8) ? format::kMaxName : 12);
    for (uint64_t n = random_.below(4); n > 0; n--) out += "/" + name(12);
    return out;
  }

  Random random_;
  size_t max_data_;
  std::deque<std::string> texts_;
  std::deque<Bytes> blobs_;
};

// HELLO, `records` random records, of all types in turn and GAPs among them, and END.
inline Bytes random_stream(uint64_t seed, size_t records, size_t max_data = 200) {
  RecordMaker maker(seed, max_data);
  format::Hello hello;
  format::Hello::fields(maker, hello);
  Bytes out = encode({}, hello);
  uint64_t seq = 0;
  for (size_t i = 0; i < records; i++) {
    format::Record record = maker.make(i % RecordMaker::kTypes);
    if (std::holds_alternative<format::End>(record)) continue;
    if (std::holds_alternative<format::Hello>(record)) {
      append(out, encode({}, hello));
      continue;
    }
    seq++;
    if (auto* gap = std::get_if<format::Gap>(&record)) {
      gap->first = seq;
      seq += maker.random().below(10);
    }
    append(out, encode(maker.label(seq), record));
  }
  append(out, encode({seq + 1, 0, 0}, format::End{}));
  return out;
}

// What a reader made of a stream.
struct Reading {
  Bytes good;         // all frames that were delivered, one behind the other
  size_t frames = 0;  // how many
  Status status;      // of the frame that was refused, or of the end
  bool operator==(const Reading& b) const {
    return good == b.good && frames == b.frames && status.ok() == b.status.ok() &&
           (status.ok() || (status.error().kind == b.status.error().kind && status.error().detail == b.status.error().detail));
  }
  bool is(Kind kind) const { return !status.ok() && status.error().kind == kind; }
};

// Takes all frames that are there.
inline Status drain(format::Deframer& deframer, format::Sequence& sequence, Reading& reading) {
  while (true) {
    std::optional<format::Frame> frame = TFS_TRY(deframer.next());
    if (!frame) return {};
    format::Record record = TFS_TRY(format::decode(*frame));
    TFS_TRY(sequence.take(*frame, record));
    append(reading.good, frame->bytes);
    reading.frames++;
  }
}

// Reads a stream as every reader does, in pieces of the sizes that `piece_size` gives one after the other.
template <class PieceSize>
Reading read_in_pieces(ByteView stream, PieceSize piece_size) {
  Reading reading;
  format::Deframer deframer;
  format::Sequence sequence;
  while (!stream.empty()) {
    std::span<std::byte> space = deframer.space();
    size_t size = std::min({stream.size(), space.size(), static_cast<size_t>(piece_size())});
    std::copy_n(stream.begin(), size, space.begin());
    deframer.filled(size);
    stream = stream.subspan(size);
    reading.status = drain(deframer, sequence, reading);
    if (!reading.status) return reading;
  }
  reading.status = deframer.finish();
  if (reading.status) reading.status = sequence.finish();
  return reading;
}

inline Reading read_whole(ByteView stream) {
  return read_in_pieces(stream, [] { return SIZE_MAX; });
}

// Bytes as hexadecimal digits, two a byte; spaces in `text` are for people.
inline std::string to_hex(ByteView bytes) {
  std::string out;
  for (std::byte b : bytes) {
    for (unsigned digit : {static_cast<unsigned>(b) >> 4, static_cast<unsigned>(b) & 15}) out += "0123456789abcdef"[digit];
  }
  return out;
}

}  // namespace tfs::test
