// race_writes: threads that meet in the same bytes and the same names as often as they can, for the tests of order.
//
//   race_writes [--seed N] [--rounds N] [--threads N] [--content] [--names [--flat]] DIR
//
// --content: on one file, overlapping O_DIRECT writes that are submitted together (AIO), stores into a shared mapping, appends,
// plain writes, truncation and holes. --names: in two directories of three names each, renames, exchanges, links, removals,
// directories, symbolic links and files that are written after their last name has gone; --flat: in nothing below these two. Both, if
// neither is given.
//
// Which operation comes next follows from the seed, how they meet does not: what matters is that a journal tells it as it was.
// Refusals that another thread explains are fine, any other error ends the run with status 1.

#include <fcntl.h>
#include <getopt.h>
#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/frames.h"

namespace {

using tfs::test::Random;

constexpr size_t kPage = 4096;
constexpr size_t kSpan = 32 * kPage;  // where all writes meet
constexpr size_t kMaxWrites = 8;      // submitted together

struct Settings {
  uint64_t seed = 1, rounds = 100, threads = 4;
  bool content = false, names = false, flat = false;
  std::string dir;
};

bool is_explained(int error) {
  static constexpr int kRaces[] = {ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EBUSY,  EINVAL,
                                   EXDEV,  ESTALE, EMLINK,  ELOOP,  ENXIO,     EFAULT, EPERM /* link of a directory */};
  return std::ranges::find(kRaces, error) != std::end(kRaces);
}

// Of one call; what failed is told once, by the thread that met it.
void step(const char* call, long result) {
  if (result >= 0 || is_explained(errno)) return;
  std::fprintf(stderr, "race_writes: %s: %s\n", call, std::strerror(errno));
  std::_Exit(1);
}

// A page-aligned buffer of random bytes, the same in a file, so that read(2) can store them into a mapping: where a truncation
// has taken the page away, it answers EFAULT where an assignment would end in SIGBUS.
class Data {
 public:
  explicit Data(Random& random) : bytes_(static_cast<char*>(std::aligned_alloc(kPage, kSpan * kMaxWrites))) {
    for (size_t i = 0; i < kSpan * kMaxWrites; i += 8) {
      uint64_t value = random.next();
      std::memcpy(bytes_ + i, &value, sizeof value);
    }
    fd_ = ::memfd_create("data", MFD_CLOEXEC);
    step("memfd_create", fd_);
    step("write", ::pwrite(fd_, bytes_, kSpan * kMaxWrites, 0));
  }
  ~Data() {
    std::free(bytes_);
    ::close(fd_);
  }
  char* any(Random& random, size_t size) const { return bytes_ + random.below((kSpan * kMaxWrites - size) / kPage + 1) * kPage; }
  void store_into(char* at, size_t size, Random& random) const {
    off_t from = static_cast<off_t>(random.below(kSpan));
    step("store", ::pread(fd_, at, size, from));
  }

 private:
  char* bytes_;
  int fd_;
};

// --- content

class ContentRacer {
 public:
  ContentRacer(const Settings&, const std::string& path, uint64_t seed) : random_(seed), data_(random_) {
    direct_ = ::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    plain_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    append_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    for (int fd : {direct_, plain_, append_}) step("open", fd);
    void* at = ::mmap(nullptr, kSpan, PROT_READ | PROT_WRITE, MAP_SHARED, plain_, 0);
    if (at == MAP_FAILED) step("mmap", -1);
    mapping_ = static_cast<char*>(at);
    step("io_setup", ::syscall(SYS_io_setup, kMaxWrites, &context_));
  }
  ~ContentRacer() {
    for (int fd : {direct_, plain_, append_}) step("close", ::close(fd));
    ::syscall(SYS_io_destroy, context_);
  }
  ContentRacer(const ContentRacer&) = delete;
  ContentRacer& operator=(const ContentRacer&) = delete;

  void round() {
    switch (random_.below(12)) {
      case 0:
      case 1: return store();
      case 2: return step("pwrite", ::pwrite(plain_, data_.any(random_, kPage), 1 + random_.below(kPage), anywhere()));
      case 3: return step("append", ::write(append_, data_.any(random_, kPage), 1 + random_.below(kPage)));
      case 4: return step("ftruncate", ::ftruncate(plain_, anywhere()));
      case 5: return step("ftruncate", ::ftruncate(plain_, kSpan));
      case 6: return step("fallocate", ::fallocate(plain_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, anywhere(), kPage));
      default: return submit();
    }
  }
  // Behind all rounds of all threads: nothing covers up what comes out.
  void finale() { submit(); }
  // No store may be on its way any more then.
  void settle() {
    if (::msync(mapping_, kSpan, MS_SYNC) != 0 && errno != EIO) step("msync", -1);
    ::munmap(mapping_, kSpan);
    step("ftruncate", ::ftruncate(plain_, kSpan));
  }

 private:
  off_t anywhere() { return static_cast<off_t>(random_.below(kSpan)); }

  // Within the file they run side by side; each byte is then one of several. A large one takes longer from its effect to its
  // frame than a small one, which can slip in between where nothing prevents it.
  void submit() {
    iocb requests[kMaxWrites] = {};
    iocb* list[kMaxWrites];
    io_event events[kMaxWrites];
    long count = static_cast<long>(2 + random_.below(kMaxWrites - 1));
    for (long i = 0; i < count; i++) {
      size_t size = random_.once_in(2) ? kPage : kSpan - random_.below(kSpan / 2 / kPage) * kPage;
      requests[i].aio_fildes = static_cast<uint32_t>(direct_);
      requests[i].aio_lio_opcode = IOCB_CMD_PWRITE;
      requests[i].aio_buf = reinterpret_cast<uint64_t>(data_.any(random_, size));
      requests[i].aio_nbytes = size;
      requests[i].aio_offset = static_cast<int64_t>(random_.below((kSpan - size) / kPage + 1) * kPage);
      list[i] = &requests[i];
    }
    long submitted = ::syscall(SYS_io_submit, context_, count, list);
    step("io_submit", submitted);
    if (submitted > 0) step("io_getevents", ::syscall(SYS_io_getevents, context_, submitted, submitted, events, nullptr));
  }

  void store() {
    for (uint64_t n = random_.below(4); n > 0; n--) {
      size_t size = 1 + random_.below(2 * kPage), at = random_.below(kSpan - size);
      data_.store_into(mapping_ + at, size, random_);
    }
    // An O_DIRECT write of another thread may have left an EIO for the next msync of this descriptor
    // (dio_warn_stale_pagecache): Linux, on any file system.
    if (random_.once_in(2) && ::msync(mapping_, kSpan, random_.once_in(2) ? MS_SYNC : MS_ASYNC) != 0 && errno != EIO)
      step("msync", -1);
  }

  Random random_;
  Data data_;
  int direct_, plain_, append_;
  char* mapping_;
  aio_context_t context_ = 0;
};

// --- names

class NameRacer {
 public:
  NameRacer(const Settings& s, std::string dir, uint64_t seed) : is_flat_(s.flat), dir_(std::move(dir)), random_(seed) {}

  void settle() {}
  void finale() {}

  void round() {
    switch (random_.below(12)) {
      case 0:
      case 1: return make_file();
      case 2: return step("mkdir", ::mkdir(name().c_str(), 0755));
      case 3: return step("symlink", ::symlink("target", name().c_str()));
      case 4: return step("rmdir", ::rmdir(name().c_str()));
      case 5: return step("link", ::link(name().c_str(), name().c_str()));
      case 6: return step("unlink", ::unlink(name().c_str()));
      case 7: return write_nameless();
      case 8: return step("exchange", ::renameat2(AT_FDCWD, name().c_str(), AT_FDCWD, name().c_str(), RENAME_EXCHANGE));
      case 9: return step("noreplace", ::renameat2(AT_FDCWD, name().c_str(), AT_FDCWD, name().c_str(), RENAME_NOREPLACE));
      default: return step("rename", ::rename(name().c_str(), name().c_str()));
    }
  }

 private:
  std::string name() {
    std::string path = dir_ + "/" + "ab"[random_.below(2)] + "/" + "xyz"[random_.below(3)];
    if (!is_flat_ && random_.once_in(4)) path += std::string("/") + "xyz"[random_.below(3)];
    return path;
  }

  void make_file() {
    int fd = ::open(name().c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    step("create", fd);
    if (fd < 0) return;
    write_some(fd);
    step("close", ::close(fd));
  }

  void write_nameless() {
    std::string path = name();
    int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    step("open", fd);
    if (fd < 0) return;
    step("unlink", ::unlink(path.c_str()));
    write_some(fd);
    std::string self = "/proc/self/fd/" + std::to_string(fd);
    if (random_.once_in(2))
      step("link descriptor", ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name().c_str(), AT_SYMLINK_FOLLOW));
    write_some(fd);
    step("close", ::close(fd));
  }

  void write_some(int fd) {
    uint64_t value = random_.next();
    step("write", ::pwrite(fd, &value, sizeof value, static_cast<off_t>(random_.below(64))));
  }

  const bool is_flat_;
  const std::string dir_;
  Random random_;
};

// --- all of it

template <class Racer>
void race(const Settings& s, const std::string& place, uint64_t salt, std::barrier<>& all, std::vector<std::thread>& threads) {
  for (uint64_t i = 0; i < s.threads; i++) {
    threads.emplace_back([&s, &all, place, seed = s.seed * 1000 + salt + i] {
      Racer racer(s, place, seed);
      for (uint64_t round = 0; round < s.rounds; round++) racer.round();
      racer.settle();
      all.arrive_and_wait();
      racer.finale();
    });
  }
}

void run(const Settings& s) {
  std::string file = s.dir + "/file";
  int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  step("create", fd);
  step("ftruncate", ::ftruncate(fd, kSpan));
  step("close", ::close(fd));
  for (const char* name : {"/a", "/b"}) step("mkdir", ::mkdir((s.dir + name).c_str(), 0755));
  std::barrier all(static_cast<ptrdiff_t>(s.threads * (s.content + s.names)));
  std::vector<std::thread> threads;
  if (s.content) race<ContentRacer>(s, file, 0, all, threads);
  if (s.names) race<NameRacer>(s, s.dir, 500, all, threads);
  for (std::thread& thread : threads) thread.join();
}

uint64_t number(const char* text) {
  char* end = nullptr;
  uint64_t value = std::strtoull(text, &end, 10);
  if (*text != '\0' && *end == '\0') return value;
  std::fprintf(stderr, "race_writes: not a number: %s\n", text);
  std::exit(2);
}

Settings parse(int argc, char** argv) {
  Settings s;
  const option options[] = {{"seed", 1, nullptr, 's'},
                            {"rounds", 1, nullptr, 'r'},
                            {"threads", 1, nullptr, 't'},
                            {"content", 0, nullptr, 'c'},
                            {"names", 0, nullptr, 'n'},
                            {"flat", 0, nullptr, 'f'},
                            {}};
  for (int c; (c = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
    switch (c) {
      case 's': s.seed = number(optarg); break;
      case 'r': s.rounds = number(optarg); break;
      case 't': s.threads = number(optarg); break;
      case 'c': s.content = true; break;
      case 'n': s.names = true; break;
      case 'f': s.flat = true; break;
      default: std::exit(2);
    }
  }
  if (optind != argc - 1) {
    std::fprintf(stderr, "race_writes: one DIR is needed\n");
    std::exit(2);
  }
  s.dir = argv[optind];
  if (!s.content && !s.names) s.content = s.names = true;
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  run(parse(argc, argv));
  return 0;
}
