// make_stream: a valid stream on standard output, as tfs_journal would write it, for tests of what reads streams.
//
//   --frames N    numbered frames (1000); END is one more
//   --data N      bytes of data in each WRITE (100)
//   --mixed       0 to N bytes, at random, and a few other records between
//   --seed N      of the randomness (1)
//   --epoch N     named after this number (1)
//   --first N     number of the first frame (1)
//   --rate N      frames a second, each written for itself (as fast as possible)
//   --heartbeat   HEARTBEATs instead of WRITEs
//   --no-end      stop without END
//   --garbage N   so many bytes that are no frame behind all that

#include <getopt.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "lib/format/encode.h"
#include "lib/sys/io.h"

namespace {

using namespace tfs;

constexpr size_t kBatch = size_t{1} << 18;

struct Settings {
  uint64_t frames = 1000, data = 100, seed = 1, epoch = 1, first = 1, rate = 0, garbage = 0;
  bool mixed = false, heartbeat = false, end = true;
};

uint64_t number(const char* text) {
  char* end = nullptr;
  uint64_t value = std::strtoull(text, &end, 10);
  if (*text == '\0' || *end != '\0') {
    std::fprintf(stderr, "make_stream: not a number: %s\n", text);
    std::exit(2);
  }
  return value;
}

Settings parse(int argc, char** argv) {
  Settings s;
  const option options[] = {{"frames", 1, nullptr, 'f'},
                            {"data", 1, nullptr, 'd'},
                            {"mixed", 0, nullptr, 'm'},
                            {"seed", 1, nullptr, 's'},
                            {"epoch", 1, nullptr, 'e'},
                            {"first", 1, nullptr, '1'},
                            {"rate", 1, nullptr, 'r'},
                            {"heartbeat", 0, nullptr, 'h'},
                            {"no-end", 0, nullptr, 'n'},
                            {"garbage", 1, nullptr, 'g'},
                            {}};
  for (int c; (c = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
    switch (c) {
      case 'f': s.frames = number(optarg); break;
      case 'd': s.data = number(optarg); break;
      case 'm': s.mixed = true; break;
      case 's': s.seed = number(optarg); break;
      case 'e': s.epoch = number(optarg); break;
      case '1': s.first = number(optarg); break;
      case 'r': s.rate = number(optarg); break;
      case 'h': s.heartbeat = true; break;
      case 'n': s.end = false; break;
      case 'g': s.garbage = number(optarg); break;
      default: std::exit(2);
    }
  }
  if (optind != argc || s.data > format::kMaxData || s.first == 0) {
    std::fprintf(stderr, "make_stream: wrong usage\n");
    std::exit(2);
  }
  return s;
}

class Maker {
 public:
  explicit Maker(const Settings& s) : s_(s), random_(s.seed), data_(s.data) {
    for (std::byte& b : data_) b = static_cast<std::byte>(random_());
  }

  void run() {
    format::Hello hello;
    for (size_t i = 0; i < 8; i++) hello.epoch.bytes[i] = static_cast<uint8_t>(s_.epoch >> (8 * i));
    hello.epoch.bytes[15] = 0xe0;
    hello.time = now();
    hello.host = "test";
    hello.store = "/store";
    format::append_frame({}, hello, out_);
    uint64_t seq = s_.first;
    for (uint64_t i = 0; i < s_.frames; i++) {
      numbered(seq++);
      if (s_.rate > 0) {
        flush();
        usleep(static_cast<useconds_t>(1'000'000 / s_.rate));
      } else if (out_.size() >= kBatch) {
        flush();
      }
    }
    if (s_.end) {
      format::End end;
      end.time = now();
      format::append_frame({seq, 0, 0}, end, out_);
    }
    out_.resize(out_.size() + s_.garbage, std::byte{0xff});
    flush();
  }

 private:
  static format::Time now() {
    sys::WallTime t = sys::wall_time();
    return {t.sec, t.nsec};
  }

  void numbered(uint64_t seq) {
    if (s_.heartbeat || (s_.mixed && random_() % 8 == 0)) {
      format::Heartbeat beat;
      beat.time = {1'700'000'000, 0};
      return format::append_frame({seq, 0, 0}, beat, out_);
    }
    if (s_.mixed && random_() % 8 == 0) {
      format::Mkdir mkdir;
      mkdir.mode = 040755;
      mkdir.path = "some/folder";
      return format::append_frame({seq, 2 + seq, 2}, mkdir, out_);
    }
    format::Write write;
    write.offset = seq * 4096;
    write.path = "some/file";
    write.data = s_.mixed ? ByteView(data_).first(random_() % (data_.size() + 1)) : ByteView(data_);
    format::append_frame({seq, 2, 1}, write, out_);
  }

  void flush() {
    Status status = sys::write_all("make_stream.write", STDOUT_FILENO, out_);
    if (!status) {
      std::fprintf(stderr, "make_stream: %s\n", status.error().message().c_str());
      std::exit(1);
    }
    out_.clear();
  }

  const Settings s_;
  std::mt19937_64 random_;
  std::vector<std::byte> data_, out_;
};

}  // namespace

int main(int argc, char** argv) {
  Maker(parse(argc, argv)).run();
  return 0;
}
