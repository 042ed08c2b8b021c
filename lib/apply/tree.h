// The mirror's directory, and the only way into it: every path is walked beneath one descriptor, through no symbolic link and
// over no mount point, so that a hostile stream can touch nothing else. Directories and files that are in use stay open.
//
// Errors: ENOENT, ENOTDIR, ELOOP and the like mean that the mirror is not what the stream says: kMismatch, naming the path.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lib/apply/state.h"
#include "lib/format/records.h"
#include "lib/sys/fd.h"

namespace tfs::apply {

// The object that a frame is about: at a path, or (where that is empty) nameless under its id.
struct Object {
  std::string_view path;
  uint64_t id = 0;
};

// Where a name stands: a directory's descriptor, good until the next call into the Tree, and the name in it; none for the directory itself.
struct Place {
  int dir = -1;
  std::string name;
};

class Tree {
 public:
  Tree(sys::Fd root, State& state);
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  int root() const { return root_.get(); }

  // Where the name `path` (not ".") stands or would stand.
  Result<Place> place(std::string_view path);
  // The same for a nameless object.
  Place held_place(uint64_t id) const;
  Result<Place> place(const Object& object);

  // A descriptor of a directory: "." is the root. Good until the next call.
  Result<int> directory(std::string_view path);

  // O_PATH descriptor of the object itself, whatever it is.
  Result<sys::Fd> open_path(const Object& object);

  // A descriptor of a regular file that can be read and written; stays open. kMismatch for what is no regular file.
  Result<int> file(const Object& object);

  // The same only to be read, which inode flags do not forbid. Good until the next call.
  Result<int> file_to_read(const Object& object);

  // The same, if it is open already; else -1.
  int open_file(uint64_t id);
  // A file that has just been made, open to be read and written.
  void keep_open(uint64_t id, sys::Fd fd);

  // What the attributes of a file or directory that is open are, where this program has set them: what they are already need not be set
  // again.
  struct Known {
    uint32_t mode, uid, gid;
  };
  std::optional<Known>* known_file(uint64_t id);                 // null where it is not open; good until the next call
  std::optional<Known>* known_directory(std::string_view path);  // the same; null for the root
  void forget_known(const Object& object);

  // Makes the directories on the way to `path` where they are missing or something else is in their place (a scan's repair).
  Status make_parents(std::string_view path);
  void forget_all();

  // What a frame did to names: what is kept open follows.
  void forget_file(uint64_t id);
  void forget_directory(std::string_view path);  // and all below: it was moved or removed

 private:
  Result<sys::Fd> open_beneath(std::string_view path, uint64_t flags);
  Result<sys::Fd> open_directory(std::string_view path);
  int open_to_write(const Place& at);

  struct File {
    uint64_t id;
    sys::Fd fd;
    std::optional<Known> known;
  };
  struct Directory {
    std::string path;
    sys::Fd fd;
    std::optional<Known> known;
  };
  sys::Fd root_;
  State& state_;
  const bool is_root_;     // the user
  std::list<File> files_;  // most recently used first
  std::unordered_map<uint64_t, std::list<File>::iterator> file_index_;
  sys::Fd reading_;  // of file_to_read()
  std::list<Directory> directories_;
  std::unordered_map<std::string_view, std::list<Directory>::iterator> directory_index_;
};

// The Error for `sys_errno` met at `object`: kMismatch where the mirror is not what it should be, else kSystem.
Error at_object(const char* op, int sys_errno, const std::string& what, const Object& object);

// The same for what is open as `fd`: kMismatch also where a special file or a symbolic link cannot have what the source's object has.
Error at_fd(const char* op, int sys_errno, const std::string& what, int fd, const Object& object);

// What stands there, of itself; false where nothing does, or it cannot be told: then that is left for take_unseen_error().
bool stat_at(const Place& at, struct stat& st);

// Why this thread could not see something since it asked the last time: whatever it did without is to be done again. 0: it saw all.
int take_unseen_error();

// Why linkat(2) has failed, which says EPERM of a directory, too: then EISDIR.
int link_error(const Place& from);

// Opens the object that has a name in a directory: through no symbolic link, and not what is mounted there. An errno as openat(2).
int open_in(int dir, const char* name, int flags);

// "/proc/self/fd/N" for calls that take no O_PATH descriptor.
std::string proc_path(int fd);

}  // namespace tfs::apply
