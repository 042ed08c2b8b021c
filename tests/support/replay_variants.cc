// replay_variants: what lib/apply makes of a stream that is damaged, broken off, or read in pieces, in one process, so that every
// bit of a stream can be tried. As root, on a file system with times of files as fine as the clock's ticks.
//
//   replay_variants damage STREAM DIR [--bits N]    at each frame in turn: each of its bits flipped (N at random of a large one),
//                                                   cut at each byte, left out, twice, exchanged with the next: refused in the
//                                                   right way, and nothing changes in the mirror DIR/mirror, which goes from
//                                                   frame to frame meanwhile, and is whole at the end
//   replay_variants splits STREAM DIR [--seeds N]   into DIR/split.1 and so on, read a byte at a time, in pieces of some sizes
//                                                   around those that frames are made of, and in N random splits
//
// Status 1 and a line for each thing that is not as it should be.

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/apply/replay.h"
#include "lib/apply/scan.h"
#include "lib/apply/wants.h"
#include "lib/sys/io.h"
#include "tests/support/frames.h"

namespace {

using namespace tfs;
using test::Bytes;
using test::Random;

int failures = 0;

void complain(const std::string& what) {
  constexpr int kEnough = 20;
  std::fprintf(stderr, "replay_variants: %s\n", what.c_str());
  if (++failures >= kEnough) std::_Exit(1);
}

template <class T>
T must(Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "replay_variants: %s\n", result.error().message().c_str());
  std::exit(1);
}

// What changes when anything is changed: each inode's ctime cannot be set. Of the state itself only what it says.
void look_at(int dir_fd, const std::string& path, std::string& out) {
  int fd = ::openat(dir_fd, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* dir = fd < 0 ? nullptr : ::fdopendir(fd);
  if (dir == nullptr) return;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir)) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
  }
  ::closedir(dir);
  std::ranges::sort(names);
  names.insert(names.begin(), ".");
  for (const std::string& name : names) {
    std::string below = path;
    below.append("/").append(name);
    struct stat st;
    if (::fstatat(dir_fd, below.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    out += below + " " + std::to_string(st.st_ino) + " " + std::to_string(st.st_nlink) + " " + std::to_string(st.st_ctim.tv_sec) +
           "." + std::to_string(st.st_ctim.tv_nsec) + "\n";
    if (S_ISDIR(st.st_mode) && name != ".") look_at(dir_fd, below, out);
  }
}

class Mirror {
 public:
  explicit Mirror(const std::string& dir) : dir_(dir) {
    if (::mkdir(dir.c_str(), 0755) != 0) complain("unable to make " + dir);
    sys::Fd root = must(sys::open_at("test.root", AT_FDCWD, dir.c_str(), O_RDONLY | O_DIRECTORY));
    state_ = std::make_unique<apply::State>(must(apply::State::open(dir, root.get())));
    tree_ = std::make_unique<apply::Tree>(std::move(root), *state_);
    scan_ = std::make_unique<apply::Scan>(*tree_, *state_, apply::Policy{}, wants_, false, apply::TimeRange{});
    applier_ = std::make_unique<apply::Applier>(*tree_, *state_, apply::Policy{}, *scan_, std::nullopt);
  }

  // One run of tfs_mirror on a stream that comes in pieces; ends as its replay does.
  Status replay(ByteView stream, const std::function<size_t()>& piece_size) {
    apply::ReplayOptions options;
    options.dir_is_empty = !state_->has_position();
    apply::Replay replay(state_.get(), applier_.get(), scan_.get(), options, nullptr);
    while (!stream.empty() && !replay.is_done()) {
      std::span<std::byte> space = replay.space();
      size_t size = std::min({stream.size(), space.size(), piece_size()});
      std::copy_n(stream.begin(), size, space.begin());
      stream = stream.subspan(size);
      Status status = replay.filled(size);
      if (!status) return status;
    }
    return replay.finish();
  }
  Status replay(ByteView stream) {
    return replay(stream, [] { return SIZE_MAX; });
  }

  uint64_t applied() const { return state_->has_position() ? state_->position().seq : 0; }
  bool is_at_rest() const { return !state_->is_pending(applied() + 1); }

  std::string looks() const {
    std::string out;
    look_at(AT_FDCWD, dir_, out);
    look_at(state_->directory_fd(), "held", out);
    return out;
  }

 private:
  const std::string dir_;
  std::unique_ptr<apply::State> state_;
  std::unique_ptr<apply::Tree> tree_;
  apply::Wants wants_;
  std::unique_ptr<apply::Scan> scan_;
  std::unique_ptr<apply::Applier> applier_;
};

// --- damage

class Damager {
 public:
  Damager(const Bytes& stream, Mirror& mirror, size_t bits) : mirror_(mirror), bits_(bits), starts_(test::frame_starts(stream)) {
    for (size_t i = 0; i + 1 < starts_.size(); i++) {
      frames_.push_back(ByteView(stream).subspan(starts_[i], starts_[i + 1] - starts_[i]));
    }
  }

  void run() {
    for (at_ = 0; at_ < frames_.size(); at_++) {
      let_the_clock_tick();
      std::string before = mirror_.looks();
      flip_bits();
      cut();
      misplace();
      if (mirror_.looks() != before) complain(where() + ": the mirror has changed before it was applied");
      apply_twice();
    }
    if (tried_ == 0) complain("nothing was tried");
    std::printf("%zu frames, %zu variants\n", frames_.size(), tried_);
  }

 private:
  format::RecordType type(size_t frame) const { return format::load_header(frames_[frame].data()).type; }
  bool is_end(size_t frame) const { return type(frame) == format::RecordType::kEnd; }
  std::string where() const { return "frame " + std::to_string(at_) + " (" + std::string(format::name_of(type(at_))) + ")"; }

  // Behind this, what changes gets another ctime.
  static void let_the_clock_tick() {
    timespec tick;
    ::clock_getres(CLOCK_REALTIME_COARSE, &tick);
    std::this_thread::sleep_for(std::chrono::nanoseconds(tick.tv_nsec + 1'000'000));
  }

  // HELLO, then `parts`, then some of what follows from frame `next` on: more than a bad frame may take with it does not matter.
  Bytes stream_of(std::initializer_list<ByteView> parts, size_t next) const {
    constexpr size_t kEnough = 20000;
    Bytes out;
    if (at_ > 0) test::append(out, frames_[0]);
    for (ByteView part : parts) test::append(out, part);
    for (; next < frames_.size() && (next <= at_ + 2 || out.size() < kEnough); next++) test::append(out, frames_[next]);
    return out;
  }

  // The status that a damaged stream must end with; nothing of the frame or behind it may be applied.
  void must_refuse(ByteView stream, std::initializer_list<Kind> kinds, const std::string& what) {
    tried_ += 1;
    uint64_t before = mirror_.applied();
    Status status = mirror_.replay(stream);
    if (status) {
      complain(where() + ", " + what + ": taken as if all were well");
    } else if (std::ranges::find(kinds, status.error().kind) == kinds.end()) {
      complain(where() + ", " + what + ": refused in the wrong way: " + status.error().message());
    } else if (status.error().kind == Kind::kCorrupt && status.error().detail.find("(at byte ") == std::string::npos) {
      complain(where() + ", " + what + ": nobody is told where: " + status.error().message());
    }
    if (mirror_.applied() != before) complain(where() + ", " + what + ": something was applied");
    if (!mirror_.is_at_rest()) complain(where() + ", " + what + ": something was begun");
  }

  // A size that is too large may ask for more than there is: then the stream seems to break off.
  void flip(size_t bit) {
    ByteView frame = frames_[at_];
    Bytes damaged = test::copy_of(frame);
    damaged[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    Bytes stream = stream_of({damaged}, at_ + 1);
    std::string what = "bit " + std::to_string(bit) + " flipped";
    constexpr size_t kSizeBits = 32;
    if (bit < kSizeBits) {
      must_refuse(stream, {Kind::kCorrupt, Kind::kTruncated}, what);
    } else {
      must_refuse(stream, {Kind::kCorrupt}, what);
    }
  }

  void flip_bits() {
    size_t all = frames_[at_].size() * 8, header = format::kHeaderSize * 8;
    if (all <= bits_) {
      for (size_t bit = 0; bit < all; bit++) flip(bit);
    } else {
      for (size_t n = 0; n < bits_; n++) flip(random_.once_in(2) ? random_.below(header) : random_.below(all));
    }
  }

  void cut() {
    size_t size = frames_[at_].size(), step = size * 8 <= bits_ ? 1 : 1 + random_.below(size / 16);
    for (size_t n = 0; n < size; n += step) {
      must_refuse(stream_of({frames_[at_].first(n)}, frames_.size()), {Kind::kTruncated}, "cut at byte " + std::to_string(n));
    }
  }

  void misplace() {
    if (at_ == 0) {
      must_refuse(stream_of({}, 1), {Kind::kCorrupt}, "left out");
      return;
    }
    if (is_end(at_)) return;
    must_refuse(stream_of({}, at_ + 1), {Kind::kMismatch}, "left out");
    must_refuse(stream_of({frames_[at_ + 1], frames_[at_]}, at_ + 2), {Kind::kMismatch}, "exchanged with the next");
    // The same where the one before it is there to compare with, which is passed over.
    if (at_ < 2) return;
    must_refuse(stream_of({frames_[at_ - 1]}, at_ + 1), {Kind::kCorrupt}, "left out behind another");
    must_refuse(stream_of({frames_[at_ - 1], frames_[at_ - 1]}, at_), {Kind::kCorrupt}, "behind one that is there twice");
  }

  // The frame itself is applied, once, and what is wrong behind it is refused.
  void apply_twice() {
    if (at_ == 0)
      return must_refuse(stream_of({frames_[0], frames_[0]}, frames_.size()), {Kind::kTruncated}, "twice, and no more");
    Status status = mirror_.replay(stream_of({frames_[at_], frames_[at_]}, at_ + 1));
    uint64_t seq = format::load_header(frames_[at_].data()).seq;
    if (is_end(at_)) {
      if (!status) complain("END: " + status.error().message());
    } else if (status || status.error().kind != Kind::kCorrupt) {
      complain(where() + " twice: " + (status ? "taken as if all were well" : status.error().message()));
    }
    if (mirror_.applied() != seq) complain(where() + " twice: the mirror is at " + std::to_string(mirror_.applied()));
  }

  Mirror& mirror_;
  const size_t bits_;
  const std::vector<size_t> starts_;
  std::vector<ByteView> frames_;
  Random random_{1};
  size_t at_ = 0, tried_ = 0;
};

// --- splits

void split(const Bytes& stream, const std::string& dir, uint64_t seeds) {
  size_t made = 0;
  auto replay = [&](const std::string& how, const std::function<size_t()>& piece_size) {
    Mirror mirror(dir + "/split." + std::to_string(++made));
    Status status = mirror.replay(stream, piece_size);
    if (!status) complain("read in pieces of " + how + " bytes: " + status.error().message());
  };
  for (size_t size : {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 4096}) {
    replay(std::to_string(size), [size] { return size; });
  }
  for (uint64_t seed = 1; seed <= seeds; seed++) {
    Random random(seed);
    uint64_t most = 1 + (random.next() >> (64 - 1 - random.below(14)));
    replay("1 to " + std::to_string(most), [&] { return 1 + random.below(most); });
  }
  std::printf("%zu splits\n", made);
}

// --- all of it

Bytes read_file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  return test::copy_of(as_bytes(text));
}

[[noreturn]] void bad_usage() {
  std::fprintf(stderr, "usage: replay_variants damage|splits STREAM DIR [--bits N] [--seeds N]\n");
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  size_t bits = SIZE_MAX;
  uint64_t seeds = 10;
  const option options[] = {{"bits", 1, nullptr, 'b'}, {"seeds", 1, nullptr, 's'}, {}};
  for (int c; (c = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
    switch (c) {
      case 'b': bits = std::strtoull(optarg, nullptr, 10); break;
      case 's': seeds = std::strtoull(optarg, nullptr, 10); break;
      default: bad_usage();
    }
  }
  if (argc - optind != 3) bad_usage();
  std::string what = argv[optind], dir = argv[optind + 2];
  Bytes stream = read_file(argv[optind + 1]);
  if (stream.empty()) bad_usage();
  if (what == "damage") {
    Mirror mirror(dir + "/mirror");
    Damager(stream, mirror, bits).run();
  } else if (what == "splits") {
    split(stream, dir, seeds);
  } else {
    bad_usage();
  }
  return failures == 0 ? 0 : 1;
}
