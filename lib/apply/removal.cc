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

void lift_flags(int dir, const char* name) {
  sys::Fd fd(open_in(dir, name, O_PATH));
  uint32_t flags = 0;
  if (fd.is_open() && get_flags(fd.get(), flags) == 0 && (flags & kForbiddingFlags)) {
    set_flags(fd.get(), flags & ~kForbiddingFlags);
  }
}

// What an ordinary user removes may be closed to its owner.
void open_to_owner(int dir, const char* name) {
  struct stat st;
  sys::Fd fd(::geteuid() == 0 ? -1 : open_in(dir, name, O_PATH | O_DIRECTORY));
  if (fd.is_open() && ::fstat(fd.get(), &st) == 0 && (st.st_mode & S_IRWXU) != S_IRWXU) set_mode(fd.get(), st.st_mode | S_IRWXU);
}

int remove_one(int dir, const char* name, int flags) {
  if (::unlinkat(dir, name, flags) == 0 || errno == ENOENT) return 0;
  if (errno != EPERM) return errno;
  lift_flags(dir, name);
  lift_flags(dir, ".");
  return ::unlinkat(dir, name, flags) == 0 || errno == ENOENT ? 0 : errno;
}

// Depth first without recursion, one open directory a level.
int remove_all(int dir, const char* name) {
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
  int error = remove_one(dir, name, 0);
  if (error != EISDIR) return error;
  if (!enter(dir, name)) return errno;
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.names.empty()) level.names = some_names(level.fd.get());
    if (level.names.empty()) {
      std::string done = level.name;
      levels.pop_back();
      int above = levels.empty() ? dir : levels.back().fd.get();
      if (int failed = remove_one(above, done.c_str(), AT_REMOVEDIR)) return failed;
      continue;
    }
    std::string entry = std::move(level.names.back());
    level.names.pop_back();
    int at = level.fd.get();
    error = remove_one(at, entry.c_str(), 0);
    if (error == EISDIR) {
      if (!enter(at, entry)) return errno;
    } else if (error != 0) {
      return error;
    }
  }
  return 0;
}

}  // namespace

Status remove_tree(const Place& place, const Object& shown) {
  if (int error = remove_all(place.dir, place.name.c_str())) return at_object("apply.removal.remove", error, "remove", shown);
  return {};
}

KeepMtime::KeepMtime(int dir_fd) : fd_(::fcntl(dir_fd, F_DUPFD_CLOEXEC, 3)) {
  struct stat st;
  if (fd_.is_open() && ::fstatat(fd_.get(), "", &st, AT_EMPTY_PATH) == 0) {
    mtime_ = {st.st_mtim.tv_sec, static_cast<uint32_t>(st.st_mtim.tv_nsec)};
  } else {
    fd_.reset();
  }
}

KeepMtime::~KeepMtime() {
  if (fd_.is_open()) set_mtime(fd_.get(), mtime_);
}

}  // namespace tfs::apply
