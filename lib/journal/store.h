// The directory that is mirrored, reached by node: through file handles where the store has them and the process may use them
// (0.9 us to open, no descriptor kept), else by walking the node's path and comparing what is found there.
//
// Threads: all methods may be called by any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <list>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>

#include "lib/journal/estate.h"
#include "lib/journal/node_table.h"
#include "lib/sys/fd.h"

namespace tfs::journal {

class Store;

// An O_PATH descriptor of a directory, good while this object lives. Kept by the store for the next request.
class DirRef {
 public:
  DirRef() = default;
  DirRef(DirRef&& other) noexcept : store_(std::exchange(other.store_, nullptr)), entry_(other.entry_), fd_(other.fd_) {}
  DirRef& operator=(DirRef&&) = delete;
  ~DirRef();
  int fd() const { return fd_; }  // or a negative errno
  bool is_open() const { return fd_ >= 0; }

 private:
  friend class Store;
  struct Entry {
    uint64_t id;
    int fd;
    int users;
  };
  Store* store_ = nullptr;
  std::list<Entry>::iterator entry_;
  int fd_ = -1;
};

class Store {
 public:
  // `path` is as the user gave it; messages use it.
  static Result<std::unique_ptr<Store>> open(const std::string& path);

  int fd() const { return root_.get(); }
  dev_t dev() const { return dev_; }
  bool has_handles() const { return has_handles_; }
  bool is_empty() const;
  Identity root_identity() const { return root_identity_; }
  // Once, before the first request.
  void set_table(NodeTable& table, Estate& estate) {
    table_ = &table;
    estate_ = &estate;
  }

  // A directory for *at() calls; fd() is a negative errno where it cannot be had.
  DirRef directory(Node& node);

  // After rmdir: the kept descriptor would pin the removed inode.
  void drop_directory(Node& node);

  // A new descriptor of the node's object: `flags` of open(2) (O_CLOEXEC added). Negative errno; -ESTALE where it is gone.
  int open_node(Node& node, int flags);

  // What stands at `name`: attributes and identity. 0 or a positive errno; EXDEV for another filesystem mounted there.
  int identify(int dir_fd, const char* name, struct stat& attributes, Identity& identity) const;
  // The same for an open descriptor.
  int identify_fd(int fd, struct stat& attributes, Identity& identity) const;

  // What is open for which node: a successor has to know, and without handles a nameless object is reached through it. Closing what
  // is not open for the node says false.
  void note_open(Node& node, int fd);
  bool note_close(Node& node, int fd);
  // All that a killed process had open of nodes in the table; what else is open is closed, but for `kept`.
  void take_up(std::span<const int> kept);

  // For a successor. Whether a descriptor is the store's own, which nobody else knows; the cache of directories is let go.
  void drop_cache();
  bool is_own(int fd) const { return fd == root_.get(); }
  std::vector<std::pair<uint64_t, int>> open_descriptors() const;

 private:
  friend class DirRef;
  Store() = default;
  int open_by_walk(Node& node, int flags);
  void evict();
  int read_handle(int dir_fd, const char* name, int flags, Handle& handle) const;

  sys::Fd root_;  // O_RDONLY: open_by_handle_at wants a descriptor of the filesystem that is no O_PATH
  dev_t dev_ = 0;
  bool has_handles_ = false;
  Identity root_identity_;
  NodeTable* table_ = nullptr;
  Estate* estate_ = nullptr;

  std::mutex cache_mutex_;
  std::list<DirRef::Entry> cache_;  // most recently used first
  std::unordered_map<uint64_t, std::list<DirRef::Entry>::iterator> cache_index_;

  mutable std::mutex open_mutex_;
  std::unordered_multimap<uint64_t, int> open_fds_;  // by node id; only without handles
};

// "/proc/self/fd/N", through which an O_PATH descriptor takes xattr calls, chmod and open.
struct ProcPath {
  explicit ProcPath(int fd);
  char text[64];
};

}  // namespace tfs::journal
