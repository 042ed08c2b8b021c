// forgetful_disk BACKING MNT [--seed N]: a disk with a cache that a power cut takes away. MNT/disk shows the file BACKING, which gets
// what is written there only when MNT/disk is synced; a loop device on it carries a filesystem, whose barriers are such syncs.
//
// SIGUSR1 cuts the power: of what was not synced BACKING gets a random part, none or all of it included, in pieces of 4 KiB, as a
// real disk may have put some of its cache away before; from then on everything fails with EIO. SIGUSR2 has that happen soon, at
// one of the next writes, and so most likely between those that belong together. Both are said on standard output: "cut: K of N
// pieces kept".
//
// chmod a-w MNT/disk makes it a disk that fails: what is written then gets EIO and is not kept, until chmod u+w makes it well.
//
// Runs in the foreground until MNT is unmounted.
#define FUSE_USE_VERSION 314

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace {

constexpr size_t kPiece = 4096;
constexpr fuse_ino_t kDisk = 2;
constexpr char kName[] = "disk";

using Piece = std::array<char, kPiece>;

class Disk {
 public:
  Disk(int backing, uint64_t size, uint64_t seed) : backing_(backing), size_(size), random_(seed) {}

  uint64_t size() const { return size_; }

  // These return 0 or an errno.
  int read(char* to, size_t length, uint64_t offset) {
    std::lock_guard guard(mutex_);
    if (is_dead_) return EIO;
    return each_piece(length, offset, [&](uint64_t number, size_t from, size_t n, size_t done) {
      auto found = unsynced_.find(number);
      if (found == unsynced_.end()) return load(to + done, n, number * kPiece + from);
      std::memcpy(to + done, found->second.data() + from, n);
      return 0;
    });
  }

  int write(const char* data, size_t length, uint64_t offset) {
    std::lock_guard guard(mutex_);
    if (writes_left_ != 0 && --writes_left_ == 0) cut();
    if (is_dead_ || is_failing_) return EIO;
    return each_piece(length, offset, [&](uint64_t number, size_t from, size_t n, size_t done) {
      auto [at, is_new] = unsynced_.try_emplace(number);
      int error = is_new && n < kPiece ? load(at->second.data(), kPiece, number * kPiece) : 0;
      std::memcpy(at->second.data() + from, data + done, n);
      return error;
    });
  }

  int sync() {
    std::lock_guard guard(mutex_);
    if (is_dead_) return EIO;
    for (const auto& [number, piece] : unsynced_) {
      if (int error = store(number, piece)) return error;
    }
    unsynced_.clear();
    return 0;
  }

  void set_failing(bool is_failing) {
    std::lock_guard guard(mutex_);
    is_failing_ = is_failing;
  }

  void cut_now() {
    std::lock_guard guard(mutex_);
    if (!is_dead_) cut();
  }

  void cut_soon() {
    std::lock_guard guard(mutex_);
    writes_left_ = 1 + random_() % (uint64_t{1} << random_() % 8);  // of few writes, too, it is to be one
  }

 private:
  // How likely each piece is to be kept is a matter of chance, too: at times nothing is, at times all.
  void cut() {
    uint64_t quarters = random_() % 5;
    size_t kept = 0;
    for (const auto& [number, piece] : unsynced_) {
      if (random_() % 4 >= quarters) continue;
      store(number, piece);
      kept += 1;
    }
    std::printf("cut: %zu of %zu pieces kept\n", kept, unsynced_.size());
    std::fflush(stdout);
    unsynced_.clear();
    is_dead_ = true;
  }

  template <class Do>
  static int each_piece(size_t length, uint64_t offset, Do work) {
    for (size_t done = 0; done < length;) {
      uint64_t at = offset + done;
      size_t from = at % kPiece, n = std::min(length - done, kPiece - from);
      if (int error = work(at / kPiece, from, n, done)) return error;
      done += n;
    }
    return 0;
  }

  int load(char* to, size_t length, uint64_t offset) {
    ssize_t n = ::pread(backing_, to, length, static_cast<off_t>(offset));
    if (n < 0) return errno;
    std::memset(to + n, 0, length - static_cast<size_t>(n));
    return 0;
  }

  int store(uint64_t number, const Piece& piece) {
    size_t n = std::min<uint64_t>(kPiece, size_ - number * kPiece);
    return ::pwrite(backing_, piece.data(), n, static_cast<off_t>(number * kPiece)) == static_cast<ssize_t>(n) ? 0 : errno;
  }

  const int backing_;
  const uint64_t size_;
  std::mutex mutex_;
  std::mt19937_64 random_;
  std::map<uint64_t, Piece> unsynced_;  // by number
  uint64_t writes_left_ = 0;            // until the cut; 0: none is due
  bool is_dead_ = false, is_failing_ = false;
};

Disk* disk = nullptr;  // for the callbacks

bool fill_attributes(fuse_ino_t ino, struct stat& st) {
  st = {};
  st.st_ino = ino;
  st.st_nlink = 1;
  st.st_mode = ino == kDisk ? S_IFREG | 0600 : S_IFDIR | 0700;
  st.st_size = ino == kDisk ? static_cast<off_t>(disk->size()) : 0;
  return ino == kDisk || ino == FUSE_ROOT_ID;
}

void on_lookup(fuse_req_t req, fuse_ino_t, const char* name) {
  fuse_entry_param e{};
  e.ino = kDisk;
  e.attr_timeout = e.entry_timeout = 86400;
  fill_attributes(kDisk, e.attr);
  if (std::strcmp(name, kName) == 0) fuse_reply_entry(req, &e);
  else fuse_reply_err(req, ENOENT);
}

void on_getattr(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
  struct stat st;
  if (fill_attributes(ino, st)) fuse_reply_attr(req, &st, 86400);
  else fuse_reply_err(req, ENOENT);
}

// Of times and modes nothing is kept, and the size stays.
void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat* st, int to_set, fuse_file_info* fi) {
  if (to_set & FUSE_SET_ATTR_MODE) disk->set_failing((st->st_mode & S_IWUSR) == 0);
  if (to_set & FUSE_SET_ATTR_SIZE) fuse_reply_err(req, EPERM);
  else on_getattr(req, ino, fi);
}

// The kernel keeps nothing of it: all that it has is what the filesystem on it has.
void on_open(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  fi->direct_io = 1;
  fuse_reply_open(req, fi);
}

void on_read(fuse_req_t req, fuse_ino_t, size_t length, off_t offset, fuse_file_info*) {
  uint64_t at = std::min(static_cast<uint64_t>(offset), disk->size());
  std::vector<char> data(std::min<uint64_t>(length, disk->size() - at));
  if (int error = disk->read(data.data(), data.size(), at)) fuse_reply_err(req, error);
  else fuse_reply_buf(req, data.data(), data.size());
}

void on_write(fuse_req_t req, fuse_ino_t, const char* data, size_t length, off_t offset, fuse_file_info*) {
  uint64_t at = static_cast<uint64_t>(offset);
  int error = at > disk->size() || length > disk->size() - at ? ENOSPC : disk->write(data, length, at);
  if (error != 0) fuse_reply_err(req, error);
  else fuse_reply_write(req, length);
}

void on_fsync(fuse_req_t req, fuse_ino_t, int, fuse_file_info*) { fuse_reply_err(req, disk->sync()); }

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops ops{};
  ops.lookup = on_lookup;
  ops.getattr = on_getattr;
  ops.setattr = on_setattr;
  ops.open = on_open;
  ops.read = on_read;
  ops.write = on_write;
  ops.fsync = on_fsync;
  return ops;
}

// In a thread of its own: a handler could not take the lock.
void watch(const sigset_t& signals) {
  for (int signal = 0; ::sigwait(&signals, &signal) == 0;) {
    if (signal == SIGUSR1) disk->cut_now();
    else disk->cut_soon();
  }
}

int serve(char* program, const char* mount) {
  char* argv[] = {program};
  fuse_args args = FUSE_ARGS_INIT(1, argv);
  const fuse_lowlevel_ops ops = operations();
  fuse_session* session = fuse_session_new(&args, &ops, sizeof ops, nullptr);
  if (session == nullptr || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, mount) != 0) return 1;
  int result = fuse_session_loop(session);
  fuse_session_unmount(session);
  fuse_remove_signal_handlers(session);
  fuse_session_destroy(session);
  return result < 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  bool has_seed = argc == 5 && std::strcmp(argv[3], "--seed") == 0;
  if (argc != 3 && !has_seed) {
    std::fprintf(stderr, "usage: forgetful_disk BACKING MNT [--seed N]\n");
    return 2;
  }
  int backing = ::open(argv[1], O_RDWR | O_CLOEXEC);
  struct stat st;
  if (backing < 0 || ::fstat(backing, &st) != 0) {
    std::fprintf(stderr, "forgetful_disk: %s: %s\n", argv[1], std::strerror(errno));
    return 1;
  }
  static Disk the_disk(backing, static_cast<uint64_t>(st.st_size), has_seed ? std::strtoull(argv[4], nullptr, 10) : 1);
  disk = &the_disk;
  static sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([] { watch(signals); }).detach();
  // Not by returning: the thread still uses what would be destroyed.
  std::_Exit(serve(argv[0], argv[2]));
}
