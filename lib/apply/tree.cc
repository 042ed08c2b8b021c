#include "lib/apply/tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lib/apply/attributes.h"
#include "lib/apply/removal.h"
#include "lib/apply/way.h"
#include "lib/base/escape.h"
#include "lib/format/rel_path.h"

namespace tfs::apply {
namespace {

constexpr size_t kOpenFiles = 64;
constexpr size_t kOpenDirectories = 256;
constexpr size_t kPieceLimit = 4000;  // the kernel takes paths of less than 4096 bytes at once

std::string shown(const Object& object) {
  return object.path.empty() ? "nameless object " + std::to_string(object.id) : escape(object.path);
}

thread_local int unseen_error = 0;

bool means_difference(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case EEXIST:
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case ELOOP:
    case EXDEV:
    case ENODATA:
    case ENXIO: return true;
    default: return false;
  }
}

// The mirror's own state, where it lies inside, and all below it.
bool is_own(std::string_view path) {
  constexpr std::string_view kOwn = kInnerName;
  return path.starts_with(kOwn) && (path.size() == kOwn.size() || path[kOwn.size()] == '/');
}

Error names_own() { return mismatch("the stream names " + std::string(kInnerName) + ", which is the mirror's own"); }

int open_at(int dir, const char* path, uint64_t flags, uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  int fd;
  do {
    fd = static_cast<int>(::syscall(SYS_openat2, dir, path, &how, sizeof how));
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));  // EAGAIN: something was renamed meanwhile
  return fd;
}

}  // namespace

Error at_object(const char* op, int sys_errno, const std::string& what, const Object& object) {
  Error error = system_error(op, sys_errno, "unable to " + what + " " + shown(object));
  if (!means_difference(sys_errno)) return error;
  return mismatch(error.message() + ": the mirror is not what the stream says, it needs a scan");
}

Error at_fd(const char* op, int sys_errno, const std::string& what, int fd, const Object& object) {
  struct stat st;
  bool is_refusal = sys_errno == EPERM || sys_errno == EACCES || sys_errno == EOPNOTSUPP;
  bool is_other = is_refusal && ::fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
  if (!is_other || (sys_errno == EOPNOTSUPP && !S_ISLNK(st.st_mode))) return at_object(op, sys_errno, what, object);
  Error error = system_error(op, sys_errno, "unable to " + what + " " + shown(object));
  const char* type = S_ISLNK(st.st_mode) ? "symbolic link" : "special file";
  return mismatch(error.message() + ": it is a " + type + " here, the mirror needs a scan");
}

bool stat_at(const Place& at, struct stat& st) {
  if (::fstatat(at.dir, at.name.c_str(), &st, AT_SYMLINK_NOFOLLOW | (at.name.empty() ? AT_EMPTY_PATH : 0)) == 0) return true;
  if (is_of_the_disk(errno)) unseen_error = errno;
  return false;
}

int take_unseen_error() { return std::exchange(unseen_error, 0); }

int link_error(const Place& from) {
  int error = errno;
  struct stat st;
  return error == EPERM && stat_at(from, st) && S_ISDIR(st.st_mode) ? EISDIR : error;
}

int open_in(int dir, const char* name, int flags) { return open_at(dir, name, static_cast<uint64_t>(flags) | O_NOFOLLOW, 0); }

std::string proc_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Tree::Tree(sys::Fd root, State& state) : root_(std::move(root)), state_(state), is_root_(::geteuid() == 0) {}

Tree::~Tree() = default;

Result<sys::Fd> Tree::open_beneath(std::string_view path, uint64_t flags) {
  sys::Fd base;
  std::string_view left = path;
  while (true) {
    std::string piece(left);
    bool is_last = left.size() <= kPieceLimit;
    if (!is_last) piece = left.substr(0, left.rfind('/', kPieceLimit));
    left.remove_prefix(std::min(left.size(), piece.size() + 1));
    int at = base.is_open() ? base.get() : root_.get();
    int fd = open_at(at, piece.c_str(), (is_last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW, RESOLVE_BENEATH);
    if (fd < 0) return at_object("apply.tree.open", errno, "open", {path, 0});
    if (is_last) return sys::Fd(fd);
    base = sys::Fd(fd);
  }
}

// From the directory that it is in, where that is open.
Result<sys::Fd> Tree::open_directory(std::string_view path) {
  auto parent = directory_index_.find(format::parent_of(path));
  if (parent == directory_index_.end()) return open_beneath(path, O_PATH | O_DIRECTORY);
  int fd = open_in(parent->second->fd.get(), std::string(format::name_of(path)).c_str(), O_PATH | O_DIRECTORY);
  if (fd < 0) return at_object("apply.tree.open", errno, "open", {path, 0});
  return sys::Fd(fd);
}

Result<int> Tree::directory(std::string_view path) {
  if (path == ".") return root_.get();
  if (is_own(path)) return names_own();
  auto found = directory_index_.find(path);
  if (found == directory_index_.end()) {
    sys::Fd fd = TFS_TRY(open_directory(path));
    directories_.push_front({std::string(path), std::move(fd), {}});
    found = directory_index_.emplace(directories_.front().path, directories_.begin()).first;
    if (directories_.size() > kOpenDirectories) {
      directory_index_.erase(directories_.back().path);
      directories_.pop_back();
    }
  } else if (found->second != directories_.begin()) {
    directories_.splice(directories_.begin(), directories_, found->second);
  }
  return found->second->fd.get();
}

Result<Place> Tree::place(std::string_view path) {
  if (is_own(path)) return names_own();
  int dir = TFS_TRY(directory(format::parent_of(path)));
  return Place{dir, std::string(format::name_of(path))};
}

Place Tree::held_place(uint64_t id) const { return {state_.held_fd(), State::held_name(id)}; }

Result<Place> Tree::place(const Object& object) {
  if (object.path.empty()) return held_place(object.id);
  if (object.path == ".") return Place{root_.get(), ""};
  return place(object.path);
}

Result<sys::Fd> Tree::open_path(const Object& object) {
  Place at = TFS_TRY(place(object));
  int fd = at.name.empty() ? ::fcntl(at.dir, F_DUPFD_CLOEXEC, 3) : open_in(at.dir, at.name.c_str(), O_PATH);
  if (fd < 0) return at_object("apply.tree.open_path", errno, "find", object);
  return sys::Fd(fd);
}

Result<int> Tree::file(const Object& object) {
  auto found = file_index_.find(object.id);
  if (found == file_index_.end()) {
    Place at = TFS_TRY(place(object));
    // Asked before, for to open a device may do anything, and again behind: O_NONBLOCK lest a FIFO hang us.
    auto not_regular = [&] { return mismatch(shown(object) + " is no regular file: the mirror needs a scan"); };
    struct stat st;
    if (stat_at(at, st) && !S_ISREG(st.st_mode)) return not_regular();
    int fd = open_to_write(at);
    if (fd < 0) return at_object("apply.tree.open_file", errno, "open", object);
    sys::Fd owned(fd);
    if (::fstat(fd, &st) != 0) return at_object("apply.tree.stat_file", errno, "read", object);
    if (!S_ISREG(st.st_mode)) return not_regular();
    keep_open(object.id, std::move(owned));
    return fd;
  }
  if (found->second != files_.begin()) files_.splice(files_.begin(), files_, found->second);
  return found->second->fd.get();
}

Result<int> Tree::file_to_read(const Object& object) {
  Result<int> fd = file(object);
  if (fd || fd.error().sys_errno != EPERM) return fd;
  Place at = TFS_TRY(place(object));
  reading_ = sys::Fd(open_in(at.dir, at.name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (!reading_.is_open()) return at_object("apply.tree.open_to_read", errno, "open", object);
  return reading_.get();
}

// An errno as open_in().
int Tree::open_to_write(const Place& at) {
  constexpr int kFlags = O_RDWR | O_NONBLOCK | O_NOCTTY;
  int fd = open_in(at.dir, at.name.c_str(), kFlags);
  if (is_root_ || (fd >= 0 && !state_.has_lifted()) || (fd < 0 && errno != EACCES)) return fd;
  int error = errno;
  sys::Fd path(open_in(at.dir, at.name.c_str(), O_PATH));
  OpenedObject opened(path.get(), state_);
  if (fd < 0 && opened.is_opened()) fd = open_in(at.dir, at.name.c_str(), kFlags);
  errno = error;
  return fd;
}

int Tree::open_file(uint64_t id) {
  auto found = file_index_.find(id);
  return found == file_index_.end() ? -1 : found->second->fd.get();
}

std::optional<Tree::Known>* Tree::known_file(uint64_t id) {
  auto found = file_index_.find(id);
  return found == file_index_.end() ? nullptr : &found->second->known;
}

std::optional<Tree::Known>* Tree::known_directory(std::string_view path) {
  auto found = directory_index_.find(path);
  return found == directory_index_.end() ? nullptr : &found->second->known;
}

void Tree::forget_known(const Object& object) {
  for (std::optional<Known>* known : {known_file(object.id), known_directory(object.path)}) {
    if (known != nullptr) known->reset();
  }
}

void Tree::keep_open(uint64_t id, sys::Fd fd) {
  files_.push_front({id, std::move(fd), {}});
  file_index_[id] = files_.begin();
  if (files_.size() <= kOpenFiles) return;
  file_index_.erase(files_.back().id);
  files_.pop_back();
}

Status Tree::make_parents(std::string_view path) {
  if (directory(format::parent_of(path)).ok()) return {};
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    std::string_view prefix = path.substr(0, slash);
    if (directory(prefix).ok()) continue;
    Place at = TFS_TRY(place(prefix));
    KeepMtime kept(at.dir, state_);
    TFS_TRY(remove_tree(at, {prefix, 0}, state_));
    if (::mkdirat(at.dir, at.name.c_str(), 0700) != 0) return at_object("apply.tree.make_parent", errno, "make", {prefix, 0});
  }
  return {};
}

void Tree::forget_all() {
  files_.clear();
  file_index_.clear();
  directory_index_.clear();
  directories_.clear();
}

void Tree::forget_file(uint64_t id) {
  auto found = file_index_.find(id);
  if (found == file_index_.end()) return;
  files_.erase(found->second);
  file_index_.erase(found);
}

void Tree::forget_directory(std::string_view path) {
  for (auto at = directories_.begin(); at != directories_.end();) {
    std::string_view held = at->path;
    bool is_below = held.starts_with(path) && (held.size() == path.size() || held[path.size()] == '/');
    if (!is_below) {
      ++at;
      continue;
    }
    directory_index_.erase(held);
    at = directories_.erase(at);
  }
}

}  // namespace tfs::apply
