#include "lib/journal/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "lib/base/escape.h"
#include "lib/format/limits.h"
#include "lib/sys/io.h"

namespace tfs::journal {
namespace {

constexpr size_t kCachedDirectories = 1000;  // of 20,000 descriptors that a process commonly may have

struct HandleBuffer {
  file_handle head;
  unsigned char bytes[MAX_HANDLE_SZ];
};

// But for those that every process has.
std::vector<int> all_descriptors() {
  std::unique_ptr<DIR, int (*)(DIR*)> list(::opendir("/proc/self/fd"), ::closedir);
  std::vector<int> open;
  while (const dirent* e = list ? ::readdir(list.get()) : nullptr) {
    if (int fd = std::atoi(e->d_name); fd > STDERR_FILENO && fd != ::dirfd(list.get())) open.push_back(fd);
  }
  return open;
}

bool same_object(const struct stat& st, const Node& node) {
  return st.st_ino == node.ino && S_ISDIR(st.st_mode) == node.is_directory;
}

}  // namespace

ProcPath::ProcPath(int fd) { std::snprintf(text, sizeof text, "/proc/self/fd/%d", fd); }

DirRef::~DirRef() {
  if (store_ == nullptr) return;
  std::lock_guard guard(store_->cache_mutex_);
  entry_->users -= 1;
}

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  std::unique_ptr<Store> store(new Store);
  store->root_ = TFS_TRY(sys::open_at("journal.store.open", AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY));
  struct stat st;
  if (::fstat(store->root_.get(), &st) != 0) return system_error("journal.store.stat", errno, "unable to read " + escape(path));
  store->dev_ = st.st_dev;
  store->root_identity_ = {st.st_ino, {}, true};
  // Opening by handle needs CAP_DAC_READ_SEARCH, and a filesystem that can do it: try once.
  Handle handle;
  if (store->read_handle(store->root_.get(), "", AT_EMPTY_PATH, handle) == 0) {
    HandleBuffer buffer;
    buffer.head.handle_bytes = handle.size;
    buffer.head.handle_type = handle.type;
    std::memcpy(buffer.head.f_handle, handle.bytes.data(), handle.size);
    sys::Fd probe(::open_by_handle_at(store->root_.get(), &buffer.head, O_PATH | O_CLOEXEC));
    store->has_handles_ = probe.is_open();
    if (store->has_handles_) store->root_identity_.handle = handle;
  }
  return store;
}

bool Store::is_empty() const {
  sys::Fd fd(::openat(root_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return false;
  DIR* dir = ::fdopendir(fd.release());
  if (dir == nullptr) return false;
  bool empty = true;
  while (const dirent* e = ::readdir(dir)) {
    if (std::strcmp(e->d_name, ".") != 0 && std::strcmp(e->d_name, "..") != 0) empty = false;
  }
  ::closedir(dir);
  return empty;
}

int Store::read_handle(int dir_fd, const char* name, int flags, Handle& handle) const {
  HandleBuffer buffer;
  buffer.head.handle_bytes = Handle::kCapacity;
  int mount_id = 0;
  if (::name_to_handle_at(dir_fd, name, &buffer.head, &mount_id, flags) != 0) return errno;
  if (buffer.head.handle_type < 0 || buffer.head.handle_type > 255) return EOPNOTSUPP;
  handle.size = static_cast<uint8_t>(buffer.head.handle_bytes);
  handle.type = static_cast<uint8_t>(buffer.head.handle_type);
  std::memcpy(handle.bytes.data(), buffer.head.f_handle, handle.size);
  return 0;
}

int Store::identify(int dir_fd, const char* name, struct stat& attributes, Identity& identity) const {
  if (::fstatat(dir_fd, name, &attributes, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  if (attributes.st_dev != dev_) return EXDEV;
  identity = {attributes.st_ino, {}, S_ISDIR(attributes.st_mode)};
  return has_handles_ ? read_handle(dir_fd, name, 0, identity.handle) : 0;
}

int Store::identify_fd(int fd, struct stat& attributes, Identity& identity) const {
  if (::fstat(fd, &attributes) != 0) return errno;
  identity = {attributes.st_ino, {}, S_ISDIR(attributes.st_mode)};
  return has_handles_ ? read_handle(fd, "", AT_EMPTY_PATH, identity.handle) : 0;
}

DirRef Store::directory(Node& node) {
  DirRef ref;
  if (node.id == 1) {
    ref.fd_ = root_.get();
    return ref;
  }
  std::unique_lock guard(cache_mutex_);
  auto found = cache_index_.find(node.id);
  if (found == cache_index_.end()) {
    guard.unlock();
    int fd = open_node(node, O_PATH | O_DIRECTORY);
    if (fd < 0) {
      ref.fd_ = fd;
      return ref;
    }
    guard.lock();
    found = cache_index_.find(node.id);
    if (found == cache_index_.end()) {
      cache_.push_front({node.id, fd, 0});
      found = cache_index_.emplace(node.id, cache_.begin()).first;
      evict();
    } else {
      ::close(fd);  // another thread was quicker
    }
  } else if (found->second != cache_.begin()) {
    cache_.splice(cache_.begin(), cache_, found->second);
  }
  ref.store_ = this;
  ref.entry_ = found->second;
  ref.entry_->users += 1;
  ref.fd_ = ref.entry_->fd;
  return ref;
}

// With cache_mutex_ held. The newest entry, not used yet, stays.
void Store::evict() {
  for (auto at = std::prev(cache_.end()); cache_.size() > kCachedDirectories && at != cache_.begin();) {
    auto entry = at--;
    if (entry->users > 0) continue;
    ::close(entry->fd);
    cache_index_.erase(entry->id);
    cache_.erase(entry);
  }
}

int Store::open_node(Node& node, int flags) {
  if (node.id == 1) {
    int fd = ::openat(root_.get(), ".", flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
  }
  if (node.grave >= 0) {
    int fd = flags & O_PATH ? ::fcntl(node.grave, F_DUPFD_CLOEXEC, 0)
                            : ::open(ProcPath(node.grave).text, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
  }
  if (!has_handles_) return open_by_walk(node, flags | O_CLOEXEC);
  HandleBuffer buffer;
  buffer.head.handle_bytes = node.handle.size;
  buffer.head.handle_type = node.handle.type;
  std::memcpy(buffer.head.f_handle, node.handle.bytes.data(), node.handle.size);
  // A handle of a symbolic link opens the link itself with O_PATH and fails with ELOOP else: as it should.
  int fd = ::open_by_handle_at(root_.get(), &buffer.head, flags | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int Store::open_by_walk(Node& node, int flags) {
  std::string path;
  for (int attempt = 0; attempt < 100; attempt++) {
    sys::Fd found;
    if (table_->path_of(node, path, format::kMaxPath) == NodeTable::PathResult::kFound) {
      // Longer paths than the kernel takes at once are walked in pieces.
      sys::Fd base;
      std::string_view left = path;
      while (true) {
        std::string piece(left);
        if (left.size() >= 4000) piece = left.substr(0, left.rfind('/', 4000));
        left.remove_prefix(std::min(left.size(), piece.size() + 1));
        open_how how{};
        how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
        int at = base.is_open() ? base.get() : root_.get();
        found = sys::Fd(static_cast<int>(::syscall(SYS_openat2, at, piece.c_str(), &how, sizeof how)));
        if (!found.is_open() || left.empty()) break;
        base = std::move(found);
      }
    } else {
      std::lock_guard guard(open_mutex_);
      auto open = open_fds_.find(node.id);
      if (open == open_fds_.end()) return -ESTALE;
      ProcPath at(open->second);
      int fd = ::open(at.text, flags & ~O_NOFOLLOW);
      return fd < 0 ? -errno : fd;
    }
    struct stat st;
    if (!found.is_open() || ::fstat(found.get(), &st) != 0 || !same_object(st, node)) continue;  // renamed meanwhile
    if (flags & O_PATH) return found.release();
    ProcPath at(found.get());
    int fd = ::open(at.text, flags & ~O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
  }
  return -ESTALE;
}

void Store::drop_directory(Node& node) {
  std::lock_guard guard(cache_mutex_);
  auto found = cache_index_.find(node.id);
  if (found == cache_index_.end() || found->second->users > 0) return;
  ::close(found->second->fd);
  cache_.erase(found->second);
  cache_index_.erase(found);
}

void Store::drop_cache() {
  std::lock_guard guard(cache_mutex_);
  for (auto at = cache_.begin(); at != cache_.end();) {
    if (at->users > 0) {
      ++at;
      continue;
    }
    ::close(at->fd);
    cache_index_.erase(at->id);
    at = cache_.erase(at);
  }
}

std::vector<std::pair<uint64_t, int>> Store::open_descriptors() const {
  std::vector<std::pair<uint64_t, int>> found;
  for (int fd : all_descriptors()) {
    uint64_t id = fd < Estate::kMostDescriptors ? estate_->open_node(fd).load() : 0;
    if (id != 0) found.emplace_back(id, fd);
  }
  return found;
}

void Store::note_open(Node& node, int fd) {
  if (fd < Estate::kMostDescriptors) estate_->open_node(fd) = node.id;
  if (has_handles_) return;
  std::lock_guard guard(open_mutex_);
  open_fds_.emplace(node.id, fd);
}

bool Store::note_close(Node& node, int fd) {
  uint64_t id = node.id;
  if (fd < Estate::kMostDescriptors && !estate_->open_node(fd).compare_exchange_strong(id, 0)) return false;
  if (has_handles_) return true;
  std::lock_guard guard(open_mutex_);
  auto [begin, end] = open_fds_.equal_range(node.id);
  for (auto at = begin; at != end; ++at) {
    if (at->second != fd) continue;
    open_fds_.erase(at);
    break;
  }
  return true;
}

void Store::take_up(std::span<const int> kept) {
  std::vector<int> graves = table_->graves();
  for (int fd : all_descriptors()) {
    Node* node = fd < Estate::kMostDescriptors ? table_->find(estate_->open_node(fd)) : nullptr;
    if (node != nullptr) {
      table_->add_taken_open(*node);
      note_open(*node, fd);
    } else if (fd != root_.get() && std::ranges::find(kept, fd) == kept.end() && std::ranges::find(graves, fd) == graves.end()) {
      ::close(fd);
    }
  }
}

}  // namespace tfs::journal
