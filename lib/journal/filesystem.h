// What the mount does: each operation of FUSE as a function of plain values, done in the store and put into the journal.
// Here an operation becomes a record, and the record is the effect: the mode that came out, the offset at which it landed.
//
// Return values are 0 or a positive errno, for a FUSE reply is one. Any thread of the session may call anything; room for the
// frames of what changes something was reserved before (Output). Ids are FUSE's node ids.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "lib/journal/credentials.h"
#include "lib/journal/recorder.h"
#include "lib/journal/store.h"

namespace tfs::journal {

class Scanner;

struct Entry {
  uint64_t id = 0;
  struct stat attributes {};
};

// A descriptor of the store as FUSE's file handle, with bits above that say what it is like.
class FileHandle {
 public:
  static constexpr uint64_t kAppend = uint64_t{1} << 32;    // the file takes appends only
  static constexpr uint64_t kWrites = uint64_t{1} << 33;    // it is open for writing
  static constexpr uint64_t kUncached = uint64_t{1} << 34;  // nothing of what it writes may lie in the kernel's page cache
  FileHandle() = default;
  explicit FileHandle(uint64_t raw) : raw_(raw) {}
  FileHandle(int fd, uint64_t bits) : raw_(static_cast<uint32_t>(fd) | bits) {}
  int fd() const { return static_cast<int>(raw_ & 0xffffffff); }
  uint64_t raw() const { return raw_; }

 private:
  uint64_t raw_ = 0;
};

// SETATTR as it comes; `valid` in the bits of <fuse_lowlevel.h>.
struct AttributeChange {
  int valid = 0;
  struct stat values {};
  const FileHandle* handle = nullptr;
  bool kills_set_id = false;
};

// How a WRITE came about.
struct WriteKind {
  bool kills_set_id = false;
  bool is_cached = false;  // not while the program wrote
};

class Filesystem {
 public:
  Filesystem(Store& store, NodeTable& table, Recorder& recorder) : store_(store), table_(table), recorder_(recorder) {}

  // The scanner is told of what gets a new name. Once, before the first request.
  void set_scanner(Scanner& scanner) { scanner_ = &scanner; }

  // The kernel writes when it likes, by whatever descriptor there is, and reads to fill its pages. Once, before the first request.
  void set_writeback() { has_writeback_ = true; }
  // Whether anything is open for writing; begins anew with what a predecessor left open.
  bool has_writers() const { return writers_ > 0; }
  void count_writers();

  // Called when the kernel's cached attributes of a node are no longer true.
  void on_stale_attributes(std::function<void(uint64_t id)> f) { stale_attributes_ = std::move(f); }

  // --- names and reading: take no lock, change nothing (fs_read.cc)
  int lookup(uint64_t parent, const char* name, Entry& out);
  void forget(uint64_t id, uint64_t lookups) { table_.forget(id, lookups); }
  int get_attributes(uint64_t id, const FileHandle* handle, struct stat& out);
  int get_statx(uint64_t id, const FileHandle* handle, unsigned mask, struct statx& out);
  int read_link(uint64_t id, std::string& out);
  int open(uint64_t id, int flags, FileHandle& out);
  int read(const FileHandle& handle, std::span<std::byte> into, uint64_t offset, size_t& out);
  int seek(const FileHandle& handle, int64_t offset, int whence, int64_t& out);
  int statfs(struct statvfs& out);
  int get_xattr(uint64_t id, const char* name, std::span<char> into, size_t& size);
  int list_xattrs(uint64_t id, const Caller& caller, std::string& names);
  // Calls `add` for each entry from `offset` on until it returns nothing, and takes it for refused; with `plus` entries carry attributes
  // and a lookup. `room` bytes are left of the answer at first, then what `add` says.
  struct DirEntry {
    const char* name;
    uint64_t ino;
    unsigned char type;  // DT_*
    int64_t next;        // offset behind it
    const Entry* entry;  // with `plus`, not for "." and ".."
  };
  using AddEntry = std::function<std::optional<size_t>(const DirEntry&)>;
  int read_dir(uint64_t id, int64_t offset, bool plus, size_t room, const AddEntry& add);

  // --- names (fs_names.cc)
  int make_node(uint64_t parent, const char* name, mode_t mode, dev_t device, const Caller& caller, Entry& out);
  int make_dir(uint64_t parent, const char* name, mode_t mode, const Caller& caller, Entry& out);
  int make_symlink(uint64_t parent, const char* name, const char* target, const Caller& caller, Entry& out);
  int create(uint64_t parent, const char* name, mode_t mode, int flags, const Caller& caller, Entry& out, FileHandle& handle);
  int make_tmpfile(uint64_t parent, mode_t mode, int flags, const Caller& caller, Entry& out, FileHandle& handle);
  int link(uint64_t id, uint64_t parent, const char* name, Entry& out);
  int unlink(uint64_t parent, const char* name);
  int remove_dir(uint64_t parent, const char* name);
  int rename(uint64_t parent, const char* name, uint64_t new_parent, const char* new_name, unsigned flags, const Caller& caller);
  // A close is recorded only where the mirror holds the object. `has_room`: reserved by the caller; if not, and it turns out to
  // be needed, this waits for it.
  bool records_release(uint64_t id);
  void release(uint64_t id, const FileHandle& handle, bool has_room);

  // --- content (fs_content.cc)
  int write(uint64_t id, const FileHandle& handle, ByteView data, uint64_t offset, WriteKind kind, size_t& written);
  int fallocate(uint64_t id, const FileHandle& handle, int mode, uint64_t offset, uint64_t length, const Caller& caller);
  int copy(uint64_t source, const FileHandle& from, uint64_t from_offset, uint64_t target, const FileHandle& to,
           uint64_t to_offset, size_t length, const Caller& caller, size_t& copied);
  int sync(uint64_t id, const FileHandle* handle, bool data_only);

  // --- attributes (fs_attributes.cc)
  int set_attributes(uint64_t id, const AttributeChange& change, struct stat& out);
  // `kills_sgid`: an ACL set by someone outside of the file's group, whose gid is `gid`.
  int set_xattr(uint64_t id, const char* name, ByteView value, int flags, bool kills_sgid, gid_t gid);
  int remove_xattr(uint64_t id, const char* name);
  // The attributes of the top of an empty store, which no frame of a birth tells. Before the mount serves anyone.
  void put_root();
  int get_inode_flags(uint64_t id, unsigned long request, void* out);
  int set_inode_flags(uint64_t id, unsigned long request, const void* in);

 private:
  class Locked;      // the lock of a node, or of two
  class NameChange;  // the same for directories whose names change

  Node* node(uint64_t id) { return table_.find(id); }
  int lookup_in(Node& dir, int dir_fd, const char* name, Entry& out);
  bool inherits_acl(Node& dir, int dir_fd);
  bool gives_flags(Node& dir, int dir_fd);
  std::optional<format::SetFlags> new_flags(Node& dir, int dir_fd, const char* name, mode_t mode);
  std::vector<std::byte> new_xattrs(Node& dir, int dir_fd, const char* name);
  int truncate(Node& target, int fd, const AttributeChange& change);
  int change_mode_and_owner(Node& target, int fd, const AttributeChange& change, struct stat& st);
  template <class Make>
  int make(uint64_t parent, const char* name, const Caller& caller, Entry& out, Make make);
  int remove(uint64_t parent, const char* name, int flags);
  sys::Fd dig_grave(Node* victim, const struct stat& st);
  struct Moved {
    bool has_new_mtime = false;  // a directory, which has another parent
    Node* node = nullptr;
  };
  int move(uint64_t parent, const char* name, uint64_t new_parent, const char* new_name, unsigned flags, const Caller& caller,
           Moved& first, Moved& second);
  void put_mtime(Node* moved);  // nullptr: one that is not known
  int rename_as(unsigned flags, const Caller& caller, Node& dir, int from, const char* name, int to, const char* new_name);
  // Where the store has done something, and does not tell what: a GAP, so that no mirror is exact without it. Returns the error.
  int lost(int error);
  // Attributes behind a change: 0, or an errno and a GAP.
  int read_back(int fd, struct stat& st);
  format::Time read_back_mtime(int fd);
  std::optional<format::SetFlags> read_back_flags(int fd);
  // By lgetxattr(2), or getxattr(2) where `path` is that of a descriptor.
  using GetXattr = ssize_t(const char* path, const char* name, void* value, size_t size);
  std::vector<std::byte> read_back_acls(GetXattr* get, const char* path, std::initializer_list<const char*> names);
  // errno of a call on content that failed; what it has done to mode and mtime is recorded.
  int failed(Node& target, int fd, bool takes_bits);
  FileHandle note_open(Node& target, int fd, int flags, uint64_t bits = 0);
  int store_access(int flags) const;
  void put_part_of_allocation(Node& target, int fd, int mode, off_t size_before);
  void put_size(Node& target, const struct stat& st, mode_t mode);
  void put_mode(Node& target, int fd, mode_t mode_before);
  void put_xattr(Node& target, int fd, const char* name, const ByteView* value, mode_t mode_before);

  Store& store_;
  NodeTable& table_;
  Recorder& recorder_;
  Scanner* scanner_ = nullptr;
  bool has_writeback_ = false;
  std::atomic<int64_t> writers_{0};
  std::function<void(uint64_t)> stale_attributes_ = [](uint64_t) {};
};

// --- shared by the fs_*.cc files

// The name that a mirror may keep its state under at its top: no source ever carries it.
constexpr const char* kReservedName = ".tfs-mirror";
// Asked for by the kernel before the first write to each file, to see whether the write must take it away.
constexpr std::string_view kCapability = "security.capability";
bool is_reserved(uint64_t parent, const char* name);

inline format::Time to_time(const timespec& t) { return {t.tv_sec, static_cast<uint32_t>(t.tv_nsec)}; }

// Whether a call that failed with this may have done part of its work.
bool may_have_begun(int error);

// Whether an errno of a question about an attribute means that there is none.
bool has_none(int error);

class Filesystem::Locked {
 public:
  explicit Locked(Node& a) : Locked(a, a) {}
  Locked(Node& a, Node& b);
  ~Locked();
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Node* a_;
  Node* b_ = nullptr;
};

class Filesystem::NameChange {
 public:
  explicit NameChange(Node& dir) : NameChange(dir, dir) {}
  NameChange(Node& a, Node& b);
  ~NameChange();
  NameChange(const NameChange&) = delete;
  NameChange& operator=(const NameChange&) = delete;

 private:
  Locked locked_;
  Node& a_;
  Node& b_;
};

}  // namespace tfs::journal
