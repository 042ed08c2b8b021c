// mangle_stream: a stream from standard input to standard output with something done to it, for tests of what reads streams.
//
//   --swap N        the Nth pair of neighbouring frames whose order makes a difference changes places (1 is the first): one makes
//                   or removes a name that the other is about, or both write to the same bytes
//   --drop N        frame N is left out        (frames are counted from 0, which is HELLO)
//   --duplicate N   frame N stands there twice
//   --exchange N    frame N and the next change places, with their numbers
//   --copy N        a copy of frame N behind it, with the numbers that follow
//   --flip BIT      this bit of the stream is the other one
//   --cut BYTES     what is left of the stream behind so many bytes goes
//   --epoch N       another epoch
//   --renumber      numbers without holes again, and checksums that hold: after it the stream is formally valid
//   --pieces MAX    written in pieces of 1 to MAX bytes at random, each of which a reader gets for itself
//   --seed N        of the pieces (1)
//   --count         prints how many frames, swaps, bytes there are, instead of the stream
//   --list          prints "NUMBER OFFSET SIZE TYPE SEQ" of each frame instead
//   --pairs         prints "SEQ TYPE TYPE" of each pair of --swap instead, with the number of its second frame
//
// --swap and --copy renumber by themselves. Status 1 where there is no such frame or pair.

#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "lib/format/decode.h"
#include "lib/format/rel_path.h"
#include "lib/sys/io.h"
#include "tests/support/frames.h"

namespace {

using namespace tfs;
using namespace tfs::format;

struct Settings {
  std::optional<uint64_t> swap, exchange, drop, duplicate, copy, flip, cut, epoch, pieces;
  uint64_t seed = 1;
  bool renumber = false, count = false, list = false, pairs = false;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "mangle_stream: %s\n", why.c_str());
  std::exit(1);
}

uint64_t number(const char* text) {
  char* end = nullptr;
  uint64_t value = std::strtoull(text, &end, 10);
  if (*text != '\0' && *end == '\0') return value;
  std::fprintf(stderr, "mangle_stream: not a number: %s\n", text);
  std::exit(2);
}

Settings parse(int argc, char** argv) {
  Settings s;
  const option options[] = {{"swap", 1, nullptr, 's'},  {"drop", 1, nullptr, 'd'},     {"duplicate", 1, nullptr, 'D'},
                            {"flip", 1, nullptr, 'f'},  {"cut", 1, nullptr, 'c'},      {"renumber", 0, nullptr, 'r'},
                            {"copy", 1, nullptr, 'C'},  {"pieces", 1, nullptr, 'p'},   {"seed", 1, nullptr, 'S'},
                            {"count", 0, nullptr, '#'}, {"list", 0, nullptr, 'l'},     {"epoch", 1, nullptr, 'e'},
                            {"pairs", 0, nullptr, 'P'}, {"exchange", 1, nullptr, 'x'}, {}};
  for (int c; (c = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
    switch (c) {
      case 's': s.swap = number(optarg); break;
      case 'x': s.exchange = number(optarg); break;
      case 'd': s.drop = number(optarg); break;
      case 'D': s.duplicate = number(optarg); break;
      case 'C': s.copy = number(optarg); break;
      case 'f': s.flip = number(optarg); break;
      case 'c': s.cut = number(optarg); break;
      case 'e': s.epoch = number(optarg); break;
      case 'p': s.pieces = number(optarg); break;
      case 'S': s.seed = number(optarg); break;
      case 'r': s.renumber = true; break;
      case '#': s.count = true; break;
      case 'l': s.list = true; break;
      case 'P': s.pairs = true; break;
      default: std::exit(2);
    }
  }
  if (optind != argc || (s.pieces && *s.pieces == 0)) {
    std::fprintf(stderr, "mangle_stream: wrong usage\n");
    std::exit(2);
  }
  return s;
}

test::Bytes read_all() {
  test::Bytes all;
  std::vector<std::byte> piece(size_t{1} << 20);
  while (true) {
    ssize_t n = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (n < 0) die("unable to read");
    if (n == 0) return all;
    test::append(all, ByteView(piece).first(static_cast<size_t>(n)));
  }
}

std::vector<test::Bytes> split(const test::Bytes& stream) {
  std::vector<test::Bytes> frames;
  for (size_t at = 0; at < stream.size(); at += frames.back().size()) {
    if (stream.size() - at < kHeaderSize) die("the input ends inside a frame");
    size_t stride = load_header(stream.data() + at).stride();
    if (stride < kHeaderSize || stride > stream.size() - at) die("the input ends inside a frame");
    frames.push_back(test::copy_of(ByteView(stream).subspan(at, stride)));
  }
  return frames;
}

// What a frame does to names and bytes, as far as it tells whether it can change places with its neighbour.
struct Effects {
  std::vector<std::string> makes, removes;  // names
  std::vector<std::string> needs;           // names of objects that are found by them, and not by their id
  std::vector<std::string> needs_new;       // the same, where an object that is made before has no id that is known
  const Write* write = nullptr;
  uint64_t id = 0;
};

struct EffectsVisitor {
  Effects& e;
  void add(std::vector<std::string>& to, std::string_view path) const {
    if (!path.empty()) to.emplace_back(path);
  }
  void make(std::string_view path) const {
    add(e.makes, path);
    add(e.needs, parent_of(path));
  }
  void operator()(const Create& r) const {
    if (!r.path.empty()) make(r.path);
  }
  void operator()(const Mkdir& r) const { make(r.path); }
  void operator()(const Mknod& r) const { make(r.path); }
  void operator()(const Symlink& r) const { make(r.path); }
  void operator()(const Link& r) const {
    add(e.needs, r.path);
    make(r.new_path);
  }
  void operator()(const Unlink& r) const { remove(r.path); }
  void operator()(const Rmdir& r) const { remove(r.path); }
  void operator()(const Rename& r) const {
    if (r.flags & kRenameExchange) {
      add(e.needs, r.path);
      add(e.needs, r.new_path);
      return;
    }
    if (!(r.flags & kRenameWhiteout)) add(e.removes, r.path);
    add(e.needs, r.path);
    // Where something was replaced, whoever is about the name would find that.
    if (!(r.flags & kRenameReplace)) make(r.new_path);
  }
  void operator()(const Write& r) const {
    if (!r.path.empty()) e.write = &r;  // who looks at trees does not see nameless objects
    add(e.needs_new, r.path);
  }
  void operator()(const Truncate& r) const { add(e.needs_new, r.path); }
  void operator()(const Fallocate& r) const { add(e.needs_new, r.path); }
  void operator()(const SetAttr& r) const { add(e.needs, r.path); }
  void operator()(const SetXattr& r) const { add(e.needs, r.path); }
  template <class R>
  void operator()(const R&) const {}
  void remove(std::string_view path) const {
    add(e.removes, path);
    add(e.needs, path);
  }
};

bool have_common(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::any_of(a, [&b](const std::string& x) { return std::ranges::find(b, x) != b.end(); });
}

// The bytes that both write are not the same.
bool overlap_differently(const Write& a, const Write& b) {
  uint64_t begin = std::max(a.offset, b.offset), end = std::min(a.offset + a.data.size(), b.offset + b.data.size());
  if (begin >= end) return false;
  return std::memcmp(a.data.data() + (begin - a.offset), b.data.data() + (begin - b.offset), end - begin) != 0;
}

// Whether a reader that gets `b` before `a` must see it: at that place, or by another tree right behind them.
bool is_order_visible(const test::Bytes& a, const test::Bytes& b) {
  Result<Record> first = decode(test::frame_at(a)), second = decode(test::frame_at(b));
  if (!first || !second) die("a frame that cannot be read");
  Effects before, after;
  std::visit(EffectsVisitor{before}, *first);
  std::visit(EffectsVisitor{after}, *second);
  bool same_object = load_header(a.data()).id == load_header(b.data()).id;
  if (before.write != nullptr && after.write != nullptr) return same_object && overlap_differently(*before.write, *after.write);
  bool is_new = std::holds_alternative<Create>(*first);
  return have_common(before.makes, after.needs) || (is_new && have_common(before.makes, after.needs_new)) ||
         have_common(before.removes, after.makes);
}

// The first frames of the pairs that --swap counts.
std::vector<size_t> pairs(const std::vector<test::Bytes>& frames) {
  std::vector<size_t> found;
  for (size_t i = 0; i + 1 < frames.size(); i++) {
    if (is_order_visible(frames[i], frames[i + 1])) found.push_back(i);
  }
  return found;
}

// HELLOs have no number; a GAP keeps its width.
void renumber(std::vector<test::Bytes>& frames) {
  std::optional<uint64_t> next;
  for (test::Bytes& frame : frames) {
    Header header = load_header(frame.data());
    if (header.type != RecordType::kHello) {
      uint64_t seq = next.value_or(header.seq);
      if (header.type == RecordType::kGap) {
        uint64_t first = load_le<uint64_t>(frame.data() + kHeaderSize);
        store_le<uint64_t>(frame.data() + kHeaderSize, seq);
        seq += header.seq - first;
      }
      store_le<uint64_t>(frame.data() + 16, seq);
      next = seq + 1;
    }
    test::seal(frame);
  }
}

void change_epoch(std::vector<test::Bytes>& frames, uint64_t epoch) {
  constexpr size_t kEpochAt = kHeaderSize + 8 + 4 + 4;
  for (test::Bytes& frame : frames) {
    if (load_header(frame.data()).type != RecordType::kHello) continue;
    store_le<uint64_t>(frame.data() + kEpochAt, epoch);
    test::seal(frame);
  }
}

test::Bytes& nth(std::vector<test::Bytes>& frames, uint64_t n) {
  if (n >= frames.size()) die("there is no frame " + std::to_string(n));
  return frames[n];
}

void mangle_frames(std::vector<test::Bytes>& frames, const Settings& s) {
  // Renumbering begins with the number that the first frame had.
  bool renumbers = s.renumber || s.swap || s.copy;
  if (s.swap) {
    std::vector<size_t> found = pairs(frames);
    if (*s.swap == 0 || *s.swap > found.size()) die("there is no pair " + std::to_string(*s.swap));
    size_t at = found[*s.swap - 1];
    uint64_t first = load_header(frames[at].data()).seq;
    store_le<uint64_t>(frames[at + 1].data() + 16, first);
    std::swap(frames[at], frames[at + 1]);
  }
  if (s.exchange) std::swap(nth(frames, *s.exchange), nth(frames, *s.exchange + 1));
  if (s.drop) {
    nth(frames, *s.drop);
    frames.erase(frames.begin() + static_cast<ptrdiff_t>(*s.drop));
  }
  for (const std::optional<uint64_t>& twice : {s.duplicate, s.copy}) {
    if (twice) frames.insert(frames.begin() + static_cast<ptrdiff_t>(*twice), test::Bytes(nth(frames, *twice)));
  }
  if (s.epoch) change_epoch(frames, *s.epoch);
  if (renumbers) renumber(frames);
}

void put(ByteView bytes) {
  Status status = sys::write_all("mangle_stream.write", STDOUT_FILENO, bytes);
  if (!status) die(status.error().message());
}

// A pipe in packet mode gives each write to one read.
void put_in_pieces(ByteView bytes, uint64_t most, uint64_t seed) {
  if (::fcntl(STDOUT_FILENO, F_SETFL, O_DIRECT) != 0) die("standard output is no pipe");
  constexpr uint64_t kPacket = 4096;
  test::Random random(seed);
  while (!bytes.empty()) {
    size_t size = std::min<size_t>(1 + random.below(std::min(most, kPacket)), bytes.size());
    put(bytes.first(size));
    bytes = bytes.subspan(size);
  }
}

void list(const std::vector<test::Bytes>& frames) {
  size_t at = 0;
  for (size_t i = 0; i < frames.size(); i++) {
    Header header = load_header(frames[i].data());
    std::printf("%zu %zu %zu %s %llu\n", i, at, frames[i].size(), std::string(name_of(header.type)).c_str(),
                static_cast<unsigned long long>(header.seq));
    at += frames[i].size();
  }
}

void list_pairs(const std::vector<test::Bytes>& frames) {
  for (size_t i : pairs(frames)) {
    Header first = load_header(frames[i].data()), second = load_header(frames[i + 1].data());
    std::printf("%llu %s %s\n", static_cast<unsigned long long>(second.seq), std::string(name_of(first.type)).c_str(),
                std::string(name_of(second.type)).c_str());
  }
}

void run(const Settings& s) {
  test::Bytes stream = read_all();
  std::vector<test::Bytes> frames = split(stream);
  mangle_frames(frames, s);
  stream.clear();
  for (const test::Bytes& frame : frames) test::append(stream, frame);
  if (s.list) return list(frames);
  if (s.pairs) return list_pairs(frames);
  if (s.count) {
    std::printf("%zu %zu %zu\n", frames.size(), pairs(frames).size(), stream.size());
    return;
  }
  if (s.flip) {
    if (*s.flip / 8 >= stream.size()) die("there is no bit " + std::to_string(*s.flip));
    stream[*s.flip / 8] ^= std::byte{1} << static_cast<int>(*s.flip % 8);
  }
  if (s.cut) stream.resize(std::min<size_t>(stream.size(), *s.cut));
  if (s.pieces) return put_in_pieces(stream, *s.pieces, s.seed);
  put(stream);
}

}  // namespace

int main(int argc, char** argv) {
  run(parse(argc, argv));
  return 0;
}
