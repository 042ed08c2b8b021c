// growth: makes large trees past any mount, and times operations in one place of them.
//
//   growth tree NAMES DIR...        so many names in each DIR: directories of a thousand files
//   growth wide NAMES DIR...        so many files in each DIR itself
//   growth deep LEVELS DIR...       a directory so many levels below each DIR, with a thousand files; prints its path from there
//   growth links NAMES DIR...       one file with so many names in each DIR
//   growth first FROM DIR           stat of files that the mount does not know yet, from number FROM on
//   growth time COUNT DIR [FILE]    stat of files of which the mount knows so many, then make, rename and unlink, a line each; with
//                                   FILE the names are its links
//
// Files are empty. Several DIR are made at once, and equal but in times of modification. What is told is microseconds of one operation, in
// DIR as the working directory: what the kernel needs for a long way there is not counted.

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr long kFiles = 1000;  // in a directory
constexpr int kBatch = 100;    // operations between two looks at the clock
constexpr int kBatches = 3;    // of which the median counts

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "growth: unable to %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void check(bool is_done, const std::string& what) {
  if (!is_done) die(what);
}

double now() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::string number(const char* prefix, long i) { return prefix + std::to_string(i); }

// --- trees

int open_dir(int at, const std::string& path) {
  int fd = ::openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(fd >= 0, "open " + path);
  return fd;
}

void make_files(int dir, long count) {
  for (long i = 0; i < count; i++) {
    std::string name = number("f", i);
    check(::mknodat(dir, name.c_str(), S_IFREG | 0644, 0) == 0, "make " + name);
  }
}

int make_dir(int at, const std::string& name) {
  check(::mkdirat(at, name.c_str(), 0755) == 0, "make " + name);
  return open_dir(at, name);
}

void make_tree(int top, long names) {
  for (long i = 0; names > 0; i++) {
    int dir = make_dir(top, number("d", i));
    make_files(dir, std::min(names - 1, kFiles - 1));
    ::close(dir);
    names -= kFiles;
  }
}

std::string level(long i) { return number("level-", i); }

void make_deep(int top, long levels) {
  int dir = ::dup(top);
  for (long i = 0; i < levels; i++) {
    int below = make_dir(dir, level(i));
    ::close(dir);
    dir = below;
  }
  make_files(dir, kFiles);
  ::close(dir);
}

void make_links(int dir, long names) {
  make_files(dir, 1);
  for (long i = 1; i < names; i++) {
    std::string name = number("f", i);
    check(::linkat(dir, "f0", dir, name.c_str(), 0) == 0, "link " + name);
  }
}

// In all at once.
int make(const std::function<void(int, long)>& make_in, long size, int count, char** dirs) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; i++) {
    threads.emplace_back([&make_in, size, path = std::string(dirs[i])] {
      int dir = open_dir(AT_FDCWD, path);
      make_in(dir, size);
      ::close(dir);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}

int make_deep_and_tell(long levels, int count, char** dirs) {
  make(make_deep, levels, count, dirs);
  for (long i = 0; i < levels; i++) std::printf("%s%s", i > 0 ? "/" : "", level(i).c_str());
  std::puts("");
  return 0;
}

// --- operations

// Microseconds of one; `between` is off the clock.
template <class F, class G>
double time_of(F operation, G between) {
  std::vector<double> times;
  for (int batch = 0; batch < kBatches; batch++) {
    double start = now();
    for (int i = 0; i < kBatch; i++) operation(batch, i);
    times.push_back((now() - start) / kBatch * 1e6);
    between(batch);
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

void stat_it(const std::string& name) {
  struct stat st;
  check(::lstat(name.c_str(), &st) == 0, "stat " + name);
}

int time_first(long from) {
  double start = now();
  for (int i = 0; i < kBatch; i++) stat_it(number("f", from + i));
  std::printf("%.3f\n", (now() - start) / kBatch * 1e6);
  return 0;
}

// In DIR, with files of which names are taken here and there, others each time; but for f0, which may be the file that is linked.
class Operations {
 public:
  Operations(long count, const char* linked) : count_(count), linked_(linked), first_(::getpid() * 7919L % count) {}

  void time_all() {
    for (int batch = 0; batch < kBatches; batch++) each([&](int i) { stat_it(known(batch, i)); });
    std::printf("stat %.3f\n", time_of([&](int batch, int i) { stat_it(known(batch, i)); }, [](int) {}));
    auto remove_made = [&](int) { each([&](int i) { unlink_one(made(i)); }); };
    std::printf("make %.3f\n", time_of([&](int, int i) { make_one(made(i)); }, remove_made));
    auto move_back = [&](int batch) { each([&](int i) { rename_one(made(i), known(batch, i)); }); };
    std::printf("rename %.3f\n", time_of([&](int batch, int i) { rename_one(known(batch, i), made(i)); }, move_back));
    auto make_again = [&](int batch) { each([&](int i) { make_one(known(batch, i)); }); };
    std::printf("unlink %.3f\n", time_of([&](int batch, int i) { unlink_one(known(batch, i)); }, make_again));
  }

 private:
  std::string known(int batch, int i) const {
    long step = std::max(1L, count_ / (kBatch * kBatches));
    return number("f", 1 + (first_ + (batch * kBatch + i) * step) % (count_ - 1));
  }
  std::string made(int i) const { return number("made.", ::getpid()) + number(".", i); }

  void make_one(const std::string& name) const {
    if (linked_ != nullptr) {
      check(::link(linked_, name.c_str()) == 0, "link " + name);
      return;
    }
    static const std::string data(1024, 'x');
    int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    check(fd >= 0, "create " + name);
    check(::write(fd, data.data(), data.size()) == static_cast<ssize_t>(data.size()), "write " + name);
    ::close(fd);
  }
  static void rename_one(const std::string& from, const std::string& to) {
    check(::rename(from.c_str(), to.c_str()) == 0, "rename " + from);
  }
  static void unlink_one(const std::string& name) { check(::unlink(name.c_str()) == 0, "unlink " + name); }
  static void each(const std::function<void(int)>& call) {
    for (int i = 0; i < kBatch; i++) call(i);
  }

  const long count_;
  const char* const linked_;
  const long first_;
};

int usage() {
  std::fprintf(stderr, "usage: growth tree|wide|deep|links SIZE DIR... | growth first FROM DIR | growth time COUNT DIR [FILE]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return usage();
  std::string what = argv[1];
  long size = std::atol(argv[2]);
  if (size <= 0) return usage();
  if (what == "tree") return make(make_tree, size, argc - 3, argv + 3);
  if (what == "wide") return make(make_files, size, argc - 3, argv + 3);
  if (what == "deep") return make_deep_and_tell(size, argc - 3, argv + 3);
  if (what == "links") return make(make_links, size, argc - 3, argv + 3);
  check(::chdir(argv[3]) == 0, std::string("enter ") + argv[3]);
  if (what == "first") return time_first(size);
  if (what != "time") return usage();
  Operations(size, argc > 4 ? argv[4] : nullptr).time_all();
  return 0;
}
