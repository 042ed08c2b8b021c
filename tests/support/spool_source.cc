// A stream whose every byte follows from its epoch and its numbers, for tests of what keeps and hands on streams: any part of it
// can be made again and compared, by cmp(1) or with --check.
//
//   spool_source [--epoch N] [--after SEQ] [--frames N] [--data BYTES] [--no-hello] [--no-end] [--pause-us N] [--cut BYTES]
//       HELLO of epoch N (1), frames SEQ+1 to --frames (1000), each with up to twice --data bytes (100); END takes the number
//       behind. --pause-us after each frame; the output ends after --cut bytes. --after takes EPOCH:SEQ and "none", too.
//   spool_source --check [--data BYTES] < stream
//       Prints a line for what it finds: "hello EPOCH", "frames FIRST LAST", "gap FIRST LAST", "end SEQ", and "rest BYTES" where the
//       stream breaks off inside a frame. Fails where a frame is not as it would be made, or not where it may be.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/support/frames.h"

namespace tfs::test {
namespace {

struct Options {
  uint64_t epoch = 1, after = 0, frames = 1000, data = 100, pause_us = 0, cut = UINT64_MAX;
  bool has_hello = true, has_end = true, is_check = false;
};

format::Epoch epoch_number(uint64_t n) {
  format::Epoch epoch;
  for (size_t i = 0; i < 8; i++) epoch.bytes[15 - i] = static_cast<uint8_t>(n >> (8 * i));
  epoch.bytes[0] = 0xee;
  return epoch;
}

uint64_t number_of(const format::Epoch& epoch) {
  uint64_t n = 0;
  for (size_t i = 8; i < 16; i++) n = n << 8 | epoch.bytes[i];
  return n;
}

Bytes make_hello(uint64_t epoch) {
  format::Hello hello;
  hello.epoch = epoch_number(epoch);
  hello.time = {1'700'000'000, 1};
  hello.host = "host";
  hello.store = "/store";
  return encode({}, hello);
}

// The data is the same few bytes over and over: cheap to make, and different from frame to frame.
Bytes make_frame(const Options& o, uint64_t epoch, uint64_t seq) {
  Random random(epoch << 40 ^ seq);
  Bytes data(random.below(2 * o.data + 1));
  uint64_t pattern = random.next();
  for (size_t i = 0; i < data.size(); i++) data[i] = static_cast<std::byte>(pattern >> (i % 8 * 8));
  format::Write write;
  write.offset = seq;
  write.mtime = {static_cast<int64_t>(seq), 0};
  write.path = "file";
  write.data = data;
  return encode({seq, epoch, 1}, write);
}

Bytes make_end(uint64_t seq) { return encode({seq, 0, 0}, format::End{{1'700'000'001, 0}}); }

void put(Bytes& out, size_t least, uint64_t& left) {
  if (out.size() < least || out.empty()) return;
  size_t size = std::min<uint64_t>(out.size(), left);
  for (size_t done = 0; done < size;) {
    ssize_t n = ::write(STDOUT_FILENO, out.data() + done, size - done);
    if (n < 0) std::exit(141);
    done += static_cast<size_t>(n);
  }
  left -= size;
  if (left == 0) std::exit(0);
  out.clear();
}

int make(const Options& o) {
  ::fcntl(STDOUT_FILENO, F_SETPIPE_SZ, 1 << 20);
  size_t batch = o.pause_us > 0 ? 1 : size_t{128} << 10;
  uint64_t left = o.cut;
  Bytes out;
  if (o.has_hello) append(out, make_hello(o.epoch));
  put(out, 1, left);
  for (uint64_t seq = o.after + 1; seq <= o.frames; seq++) {
    append(out, make_frame(o, o.epoch, seq));
    put(out, batch, left);
    if (o.pause_us > 0) ::usleep(static_cast<useconds_t>(o.pause_us));
  }
  if (o.has_end && o.after <= o.frames) append(out, make_end(o.frames + 1));
  put(out, 1, left);
  return 0;
}

class Checker {
 public:
  explicit Checker(const Options& options) : options_(options) {}

  Status take(const format::Frame& frame) {
    format::Record record = TFS_TRY(format::decode(frame));
    TFS_TRY(sequence_.take(frame, record));
    uint64_t epoch = number_of(sequence_.position().epoch), seq = frame.header.seq;
    Bytes wanted;
    if (std::holds_alternative<format::Hello>(record)) {
      wanted = make_hello(epoch);
      tell();
      std::printf("hello %llu\n", static_cast<unsigned long long>(epoch));
    } else if (const auto* gap = std::get_if<format::Gap>(&record)) {
      wanted = copy_of(frame.bytes);
      tell();
      std::printf("gap %llu %llu\n", static_cast<unsigned long long>(gap->first), static_cast<unsigned long long>(seq));
    } else if (std::holds_alternative<format::End>(record)) {
      wanted = make_end(seq);
      tell();
      std::printf("end %llu\n", static_cast<unsigned long long>(seq));
    } else {
      wanted = make_frame(options_, epoch, seq);
      if (first_ == 0) first_ = seq;
      last_ = seq;
    }
    if (!std::equal(wanted.begin(), wanted.end(), frame.bytes.begin(), frame.bytes.end())) {
      return corrupt("frame " + std::to_string(seq) + " is not the one that was made");
    }
    return {};
  }

  void tell() {
    if (first_ > 0)
      std::printf("frames %llu %llu\n", static_cast<unsigned long long>(first_), static_cast<unsigned long long>(last_));
    first_ = 0;
  }

 private:
  Options options_;
  format::Sequence sequence_;
  uint64_t first_ = 0, last_ = 0;
};

Status check_all(Checker& checker) {
  format::Deframer deframer;
  uint64_t total = 0;
  while (true) {
    std::span<std::byte> space = deframer.space();
    ssize_t n = ::read(STDIN_FILENO, space.data(), space.size());
    if (n < 0) return corrupt("unable to read");
    if (n == 0) break;
    total += static_cast<uint64_t>(n);
    deframer.filled(static_cast<size_t>(n));
    while (true) {
      std::optional<format::Frame> frame = TFS_TRY(deframer.next());
      if (!frame) break;
      TFS_TRY(checker.take(*frame));
    }
  }
  checker.tell();
  if (total > deframer.offset()) std::printf("rest %llu\n", static_cast<unsigned long long>(total - deframer.offset()));
  return {};
}

int check(const Options& o) {
  Checker checker(o);
  Status status = check_all(checker);
  if (status) return 0;
  checker.tell();
  std::fflush(stdout);
  std::fprintf(stderr, "spool_source: %s\n", status.error().message().c_str());
  return 1;
}

uint64_t number(const char* text) {
  const char* colon = std::strchr(text, ':');
  if (std::strcmp(text, "none") == 0) return 0;
  return std::strtoull(colon != nullptr ? colon + 1 : text, nullptr, 10);
}

int run(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i++) {
    std::string word = argv[i];
    auto value = [&] { return i + 1 < argc ? number(argv[++i]) : 0; };
    if (word == "--epoch") o.epoch = value();
    else if (word == "--after") o.after = value();
    else if (word == "--frames") o.frames = value();
    else if (word == "--data") o.data = value();
    else if (word == "--pause-us") o.pause_us = value();
    else if (word == "--cut") o.cut = value();
    else if (word == "--no-hello") o.has_hello = false;
    else if (word == "--no-end") o.has_end = false;
    else if (word == "--check") o.is_check = true;
    else return 2;
  }
  return o.is_check ? check(o) : make(o);
}

}  // namespace
}  // namespace tfs::test

int main(int argc, char** argv) { return tfs::test::run(argc, argv); }
