#include "lib/apply/removal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "lib/apply/attributes.h"

namespace tfs::apply {
namespace {

// Names in a directory, some at a time: a directory of a million is no reason for a million strings.
std::vector<std::string> some_names(int dir_fd) {
  std::vector<std::string> names;
  sys::Fd fd(::openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* dir = fd.is_open() ? ::fdopendir(fd.get()) : nullptr;
  if (dir == nullptr) return names;
  static_cast<void>(fd.release());
  while (const dirent* e = ::readdir(dir)) {
    if (std::strcmp(e->d_name, ".") == 0 || std::strcmp(e->d_name, "..") == 0) continue;
    names.emplace_back(e->d_name);
    if (names.size() == 1000) break;
  }
  ::closedir(dir);
  return names;
}

// Without flags that forbid changes, as long as this lives: then what has a name still gets them back.
class Lifted {
 public:
  Lifted(int dir, const char* name, State& state) : state_(state), fd_(open_in(dir, name, O_PATH)) {
    uint32_t flags = 0;
    bool is_forbidden = fd_.is_open() && get_flags(fd_.get(), flags) == 0 && (flags & kForbiddingFlags) != 0;
    if (is_forbidden && set_flags(fd_.get(), flags & ~kForbiddingFlags) == 0) flags_ = flags;
  }
  ~Lifted() {
    struct stat st;
    if (flags_ == 0 || (::fstat(fd_.get(), &st) == 0 && st.st_nlink == 0)) return;
    if (set_flags(fd_.get(), flags_) != 0) state_.note_loss();
  }
  Lifted(const Lifted&) = delete;
  Lifted& operator=(const Lifted&) = delete;

 private:
  State& state_;
  sys::Fd fd_;
  uint32_t flags_ = 0;
};

// What an ordinary user removes may be closed to its owner.
void open_to_owner(int dir, const char* name) {
  struct stat st;
  sys::Fd fd(::geteuid() == 0 ? -1 : open_in(dir, name, O_PATH | O_DIRECTORY));
  if (fd.is_open() && ::fstat(fd.get(), &st) == 0 && (st.st_mode & S_IRWXU) != S_IRWXU) set_mode(fd.get(), st.st_mode | S_IRWXU);
}

// Of what may have flags that forbid it.
int put_back(int fd, const format::Time& mtime) {
  uint32_t flags = 0;
  int error = set_mtime(fd, mtime);
  if (error != EPERM || get_flags(fd, flags) != 0 || !(flags & kForbiddingFlags)) return error;
  if (set_flags(fd, flags & ~kForbiddingFlags) != 0) return error;
  error = set_mtime(fd, mtime);
  int failed = set_flags(fd, flags);
  return error != 0 ? error : failed;
}

int remove_one(int dir, const char* name, int flags, State& state) {
  if (::unlinkat(dir, name, flags) == 0 || errno == ENOENT) return 0;
  if (errno != EPERM) return errno;
  Lifted object(dir, name, state), above(dir, ".", state);
  return ::unlinkat(dir, name, flags) == 0 || errno == ENOENT ? 0 : errno;
}

// Depth first without recursion, one open directory a level.
int remove_all(int dir, const char* name, State& state) {
  struct Level {
    sys::Fd fd;
    std::string name;
    std::vector<std::string> names;
  };
  std::vector<Level> levels;
  auto enter = [&levels](int at, const std::string& entry) {
    open_to_owner(at, entry.c_str());
    sys::Fd fd(open_in(at, entry.c_str(), O_RDONLY | O_DIRECTORY));  // not what is mounted there: that is not ours to remove
    if (!fd.is_open()) return false;
    levels.push_back({std::move(fd), entry, {}});
    return true;
  };
  int error = remove_one(dir, name, 0, state);
  if (error != EISDIR) return error;
  if (!enter(dir, name)) return errno;
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.names.empty()) level.names = some_names(level.fd.get());
    if (level.names.empty()) {
      std::string done = level.name;
      levels.pop_back();
      int above = levels.empty() ? dir : levels.back().fd.get();
      if (int failed = remove_one(above, done.c_str(), AT_REMOVEDIR, state)) return failed;
      continue;
    }
    std::string entry = std::move(level.names.back());
    level.names.pop_back();
    int at = level.fd.get();
    error = remove_one(at, entry.c_str(), 0, state);
    if (error == EISDIR) {
      if (!enter(at, entry)) return errno;
    } else if (error != 0) {
      return error;
    }
  }
  return 0;
}

}  // namespace

Status remove_tree(const Place& place, const Object& shown, State& state) {
  if (int error = remove_all(place.dir, place.name.c_str(), state))
    return at_object("apply.removal.remove", error, "remove", shown);
  return {};
}

KeepMtime::KeepMtime(int dir_fd, State& state) : state_(state), fd_(::fcntl(dir_fd, F_DUPFD_CLOEXEC, 3)) {
  struct stat st;
  if (fd_.is_open() && ::fstatat(fd_.get(), "", &st, AT_EMPTY_PATH) == 0) {
    mtime_ = {st.st_mtim.tv_sec, static_cast<uint32_t>(st.st_mtim.tv_nsec)};
  } else {
    fd_.reset();
    state_.note_loss();
  }
}

KeepMtime::~KeepMtime() {
  if (fd_.is_open() && put_back(fd_.get(), mtime_) != 0) state_.note_loss();
}

}  // namespace tfs::apply
