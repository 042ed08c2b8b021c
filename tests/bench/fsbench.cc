// fsbench [--seconds S] [--store DIR] DIR TEST: does one thing in DIR over and over, and prints how often a second.
// fsbench --list: the tests, a line each.
//
// DIR is a directory of its own, on a mount or not; it is left as it was found. What a test needs beforehand is made and taken
// away off the clock. --store says where the same directory is seen past the mount: for files that the mount must not
// know yet, and to read them from memory and not from a disk. Without it that is DIR itself.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kFileSize = size_t{32} << 20;  // sequential writes go round in it
constexpr size_t kReadSize = size_t{64} << 20;
constexpr int kBatch = 200;  // of files that are made for a test which uses them up
constexpr int kMany = 2000;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "fsbench: unable to %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int check(int result, const char* what) {
  if (result < 0) die(what);
  return result;
}

double now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

struct Place {
  std::string dir, store;
  double seconds = 0.25;
  std::string file(const std::string& name) const { return dir + "/" + name; }
};

struct File {
  File(const std::string& path, int flags) : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    check(fd_, ("open " + path).c_str());
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  std::string path_;
  int fd_;
};

using Bytes = std::unique_ptr<char, decltype(&std::free)>;

Bytes aligned(size_t size) {
  Bytes bytes(static_cast<char*>(std::aligned_alloc(4096, size)), &std::free);
  std::mt19937_64 random(1);
  for (size_t i = 0; i + 8 <= size; i += 8) {
    uint64_t word = random();
    std::memcpy(bytes.get() + i, &word, 8);
  }
  return bytes;
}

// The clock of a test: runs while operations are done, stands still while they are prepared.
class Stopwatch {
 public:
  explicit Stopwatch(double seconds) : seconds_(seconds) {}
  bool is_over() const { return spent_ >= seconds_; }

  // Does `operation` with 0, 1, 2 ... until the time is over or `limit` is reached.
  template <class F>
  void run(F operation, int limit = INT32_MAX) {
    double start = now(), spent = 0;
    int i = 0;
    while (i < limit && spent_ + spent < seconds_) {
      int end = std::min(limit, i + 8);
      for (; i < end; i++) operation(i);
      spent = now() - start;
    }
    spent_ += spent;
    done_ += i;
  }
  void add(double operations, double spent) {
    done_ += operations;
    spent_ += spent;
  }
  double rate() const { return spent_ > 0 ? done_ / spent_ : 0; }

 private:
  double seconds_, spent_ = 0, done_ = 0;
};

// A name that no run before has used: a mount that remembers what is missing would not see it made in the store.
std::string fresh_name() {
  static int count = 0;
  return "fresh." + std::to_string(static_cast<uint64_t>(now() * 1e9)) + "." + std::to_string(count++);
}

std::string number(const char* prefix, int i) { return prefix + std::to_string(i); }

void make_files(const std::string& dir, const char* prefix, int count, size_t size) {
  Bytes data = aligned(4096);
  for (int i = 0; i < count; i++) {
    File file(dir + "/" + number(prefix, i), O_WRONLY | O_CREAT | O_TRUNC);
    if (size > 0) check(static_cast<int>(::pwrite(file.fd(), data.get(), size, 0)), "write");
  }
}

void remove_files(const std::string& dir, const char* prefix, int count) {
  for (int i = 0; i < count; i++) ::unlink((dir + "/" + number(prefix, i)).c_str());
}

void fill(const std::string& path, size_t size) {
  File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  Bytes data = aligned(size_t{1} << 20);
  for (size_t at = 0; at < size; at += size_t{1} << 20) {
    check(static_cast<int>(::pwrite(file.fd(), data.get(), size_t{1} << 20, static_cast<off_t>(at))), "write");
  }
}

// --- writes

double write_one(const std::string& path, double seconds, size_t block, int flags, bool is_random) {
  if (is_random || (flags & O_DIRECT)) fill(path, kFileSize);
  Stopwatch watch(seconds);
  {
    File file(path, O_WRONLY | O_CREAT | flags);
    Bytes data = aligned(block);
    std::minstd_rand random(7);
    int blocks = static_cast<int>(kFileSize / block);
    watch.run([&](int i) {
      int at = is_random ? static_cast<int>(random() % static_cast<unsigned>(blocks)) : i % blocks;
      ssize_t n = ::pwrite(file.fd(), data.get(), block, static_cast<off_t>(at) * static_cast<off_t>(block));
      if (n != static_cast<ssize_t>(block)) die("write");
    });
  }
  ::unlink(path.c_str());
  return watch.rate();
}

double write_4k(const Place& p) { return write_one(p.file("w"), p.seconds, 4096, 0, false); }
double write_128k(const Place& p) { return write_one(p.file("w"), p.seconds, 128 << 10, 0, false); }
double write_1m(const Place& p) { return write_one(p.file("w"), p.seconds, 1 << 20, 0, false); }
double write_random(const Place& p) { return write_one(p.file("w"), p.seconds, 4096, 0, true); }
double write_direct(const Place& p) { return write_one(p.file("w"), p.seconds, 4096, O_DIRECT, false); }

double write_threads(const Place& p, int count) {
  std::vector<double> rates(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count; i++) {
    threads.emplace_back(
        [&, i] { rates[static_cast<size_t>(i)] = write_one(p.file(number("t", i)), p.seconds, 4096, 0, false); });
  }
  double sum = 0;
  for (int i = 0; i < count; i++) {
    threads[static_cast<size_t>(i)].join();
    sum += rates[static_cast<size_t>(i)];
  }
  return sum;
}

double write_2_threads(const Place& p) { return write_threads(p, 2); }
double write_4_threads(const Place& p) { return write_threads(p, 4); }

// --- files and names

double create(const Place& p) {
  Stopwatch watch(p.seconds);
  Bytes data = aligned(4096);
  while (!watch.is_over()) {
    watch.run(
        [&](int i) {
          File file(p.file(number("c", i)), O_WRONLY | O_CREAT | O_EXCL);
          if (::write(file.fd(), data.get(), 1024) != 1024) die("write");
        },
        kBatch);
    remove_files(p.dir, "c", kBatch);
  }
  return watch.rate();
}

double open_read(const Place& p) {
  make_files(p.dir, "o", kBatch, 1024);
  Stopwatch watch(p.seconds);
  char data[4096];
  watch.run([&](int i) {
    File file(p.file(number("o", i % kBatch)), O_RDONLY);
    if (::read(file.fd(), data, sizeof data) != 1024) die("read");
  });
  remove_files(p.dir, "o", kBatch);
  return watch.rate();
}

void stat_it(const std::string& path) {
  struct stat st;
  check(::lstat(path.c_str(), &st), "stat");
}

// Each name for the first time: the mount has to look it up.
double stat_first(const Place& p) {
  Stopwatch watch(p.seconds);
  while (!watch.is_over()) {
    std::string name = fresh_name(), dir = p.file(name);
    check(::mkdir((p.store + "/" + name).c_str(), 0755), "mkdir");
    make_files(p.store + "/" + name, "f", kBatch, 0);
    watch.run([&](int i) { stat_it(dir + "/" + number("f", i)); }, kBatch);
    remove_files(dir, "f", kBatch);
    ::rmdir(dir.c_str());
  }
  return watch.rate();
}

// Looked at before, but not just now: what a program that walks a tree now and then does.
double stat_later(const Place& p) {
  make_files(p.dir, "s", kMany, 0);
  for (int i = 0; i < kMany; i++) stat_it(p.file(number("s", i)));
  ::usleep(1'050'000);
  Stopwatch watch(1e9);
  watch.run([&](int i) { stat_it(p.file(number("s", i))); }, kMany);
  remove_files(p.dir, "s", kMany);
  return watch.rate();
}

double stat_again(const Place& p) {
  make_files(p.dir, "s", kBatch, 0);
  Stopwatch watch(p.seconds);
  watch.run([&](int i) { stat_it(p.file(number("s", i % kBatch))); });
  remove_files(p.dir, "s", kBatch);
  return watch.rate();
}

double stat_none(const Place& p) {
  Stopwatch watch(p.seconds);
  struct stat st;
  watch.run([&](int i) {
    if (::lstat(p.file(number("none", i % 50)).c_str(), &st) == 0 || errno != ENOENT) die("miss a file");
  });
  return watch.rate();
}

double change_mode(const Place& p) {
  make_files(p.dir, "m", kBatch, 0);
  Stopwatch watch(p.seconds);
  watch.run([&](int i) { check(::chmod(p.file(number("m", i % kBatch)).c_str(), (i / kBatch) % 2 ? 0600 : 0640), "chmod"); });
  remove_files(p.dir, "m", kBatch);
  return watch.rate();
}

double rename_it(const Place& p) {
  make_files(p.dir, "a", kBatch, 0);
  Stopwatch watch(p.seconds);
  watch.run([&](int i) {
    bool back = (i / kBatch) % 2 != 0;
    std::string a = p.file(number("a", i % kBatch)), b = p.file(number("b", i % kBatch));
    check(::rename((back ? b : a).c_str(), (back ? a : b).c_str()), "rename");
  });
  remove_files(p.dir, "a", kBatch);
  remove_files(p.dir, "b", kBatch);
  return watch.rate();
}

double unlink_it(const Place& p) {
  Stopwatch watch(p.seconds);
  while (!watch.is_over()) {
    make_files(p.dir, "u", kBatch, 0);
    watch.run([&](int i) { check(::unlink(p.file(number("u", i)).c_str()), "unlink"); }, kBatch);
    remove_files(p.dir, "u", kBatch);
  }
  return watch.rate();
}

int scan(const std::string& path) {
  DIR* dir = ::opendir(path.c_str());
  if (dir == nullptr) die("open " + path);
  int count = 0;
  struct stat st;
  while (const dirent* e = ::readdir(dir)) {
    if (::fstatat(::dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) count += 1;
  }
  ::closedir(dir);
  return count;
}

double scan_first(const Place& p) {
  Stopwatch watch(p.seconds);
  while (!watch.is_over()) {
    std::string name = fresh_name();
    check(::mkdir((p.store + "/" + name).c_str(), 0755), "mkdir");
    make_files(p.store + "/" + name, "e", kMany, 0);
    double start = now();
    int count = scan(p.file(name));
    watch.add(count, now() - start);
    remove_files(p.file(name), "e", kMany);
    ::rmdir(p.file(name).c_str());
  }
  return watch.rate();
}

double scan_again(const Place& p) {
  std::string dir = p.file("dir");
  check(::mkdir(dir.c_str(), 0755), "mkdir");
  make_files(dir, "e", kMany, 0);
  scan(dir);
  Stopwatch watch(p.seconds);
  while (!watch.is_over()) {
    double start = now();
    int count = scan(dir);
    watch.add(count, now() - start);
  }
  remove_files(dir, "e", kMany);
  ::rmdir(dir.c_str());
  return watch.rate();
}

// --- reads

// `is_cold`: the mount's own cache is emptied first, as often as needed. The store's is not: what the filesystem below costs is
// the same for all.
double read_file(const Place& p, size_t block, bool is_random, bool is_cold) {
  std::string name = fresh_name();
  fill(p.store + "/" + name, kReadSize);
  Stopwatch watch(p.seconds);
  {
    File file(p.file(name), O_RDONLY);
    Bytes data = aligned(block);
    int blocks = static_cast<int>(kReadSize / block);
    std::minstd_rand random(11);
    if (!is_cold) {
      for (int i = 0; i < blocks; i++)
        check(static_cast<int>(::pread(file.fd(), data.get(), block, i * static_cast<off_t>(block))), "read");
    }
    int pass = is_random && is_cold ? blocks / 16 : blocks;
    while (!watch.is_over()) {
      if (is_cold) ::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED);
      watch.run(
          [&](int i) {
            int at = is_random ? static_cast<int>(random() % static_cast<unsigned>(blocks)) : i;
            if (::pread(file.fd(), data.get(), block, at * static_cast<off_t>(block)) != static_cast<ssize_t>(block)) die("read");
          },
          pass);
    }
  }
  ::unlink(p.file(name).c_str());
  return watch.rate();
}

double read_cold(const Place& p) { return read_file(p, 128 << 10, false, true); }
double read_warm(const Place& p) { return read_file(p, 128 << 10, false, false); }
double read_random_cold(const Place& p) { return read_file(p, 4096, true, true); }
double read_random_warm(const Place& p) { return read_file(p, 4096, true, false); }

struct Test {
  const char* name;
  const char* says;
  double (*run)(const Place&);
};

constexpr Test kTests[] = {
    {"write-4k", "4 KiB writes", write_4k},
    {"write-128k", "128 KiB writes", write_128k},
    {"write-1m", "1 MiB writes", write_1m},
    {"write-random", "4 KiB random overwrites", write_random},
    {"write-direct", "4 KiB O_DIRECT writes", write_direct},
    {"write-2-threads", "4 KiB writes, 2 threads", write_2_threads},
    {"write-4-threads", "4 KiB writes, 4 threads", write_4_threads},
    {"create", "create, write 1 KiB, close", create},
    {"open-read", "open, read 1 KiB, close", open_read},
    {"stat-first", "stat, first time", stat_first},
    {"stat-later", "stat, a second later", stat_later},
    {"stat-again", "stat, at once again", stat_again},
    {"stat-none", "stat of a missing name", stat_none},
    {"chmod", "chmod", change_mode},
    {"rename", "rename", rename_it},
    {"unlink", "unlink", unlink_it},
    {"scan-first", "scandir and stat, first time", scan_first},
    {"scan-again", "scandir and stat, again", scan_again},
    {"read-cold", "128 KiB reads, cold", read_cold},
    {"read-warm", "128 KiB reads, warm", read_warm},
    {"read-random-cold", "4 KiB random reads, cold", read_random_cold},
    {"read-random-warm", "4 KiB random reads, warm", read_random_warm},
};

int usage() {
  std::fprintf(stderr, "usage: fsbench [--seconds S] [--store DIR] DIR TEST | fsbench --list\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Place place;
  int at = 1;
  for (; at < argc && std::strncmp(argv[at], "--", 2) == 0; at++) {
    std::string option = argv[at];
    if (option == "--list") {
      for (const Test& test : kTests) std::printf("%s\t%s\n", test.name, test.says);
      return 0;
    }
    if (at + 1 == argc) return usage();
    if (option == "--seconds") place.seconds = std::atof(argv[++at]);
    if (option == "--store") place.store = argv[++at];
  }
  if (argc - at != 2) return usage();
  place.dir = argv[at];
  if (place.store.empty()) place.store = place.dir;
  for (const Test& test : kTests) {
    if (std::strcmp(test.name, argv[at + 1]) != 0) continue;
    std::printf("%.1f\n", test.run(place));
    return 0;
  }
  return usage();
}
