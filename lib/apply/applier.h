// Does in the mirror what a record says was done in the store. One operator() for each record that changes something.
//
// Strict: what a record expects and does not find is a kMismatch that names the path, for then the mirror is no prefix of the
// source's history. In the one frame that is done again (after a kill, or after an error such as a full disk) what has already
// happened is recognized: by the object being there or gone, and for a rename by its inode number in the state.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "lib/apply/attributes.h"
#include "lib/apply/policy.h"
#include "lib/apply/scan.h"
#include "lib/apply/state.h"
#include "lib/apply/time_range.h"
#include "lib/apply/tree.h"
#include "lib/apply/way.h"
#include "lib/format/decode.h"

namespace tfs::apply {

class Applier {
 public:
  // A time that `times` does not hold, where there is one, is an error (kSystem/EOVERFLOW).
  Applier(Tree& tree, State& state, const Policy& policy, Scan& scan, std::optional<TimeRange> times);

  // What comes behind a frame, and is applied, or done again, together with it.
  enum class Next {
    kOther,      // nothing
    kElsewhere,  // a birth or a change of a file or directory; the mtimes of directories are left to that
    kDirectory,  // the same, of what stands in the same directory
    kFile,       // a change of the same object, whose mtime is left to that as well
    kWrite,      // a WRITE that begins where this one ends; the data of both go to the file together
  };
  // One decoded record. `again`: it may have been done before, in part or whole.
  Status apply(const format::Frame& frame, const format::Record& record, bool again, Next next);
  // Behind a frame that failed: does what those before it had left to it. False where that takes the frame itself.
  bool settle();
  // The frame is not done again: nothing is left to another one.
  void drop_rest();
  // Whether there may be a kElsewhere: an ordinary user's directories are open only while a frame is about what is in them.
  bool goes_elsewhere() const { return is_root_; }

 private:
  struct Visitor;
  friend struct Visitor;

  // What a new object was born with.
  struct Birth {
    uint32_t mode, uid, gid;
    ByteView xattrs;
  };

  // forced.cc: the same while a scan runs.
  template <class R>
  Status forced(const R& r, Status (Applier::*strict)(const R&));
  Status describe(const format::Entry& r);
  Status unless_undescribed(Status status, std::string_view path);
  Status force(const format::Link& r);
  Status force(const format::Unlink& r);
  Status force(const format::Rmdir& r);
  Status force(const format::Rename& r);
  Status force_exchange(const format::Rename& r, const Place* from, const Place& to);
  Status force_move(const format::Rename& r, const Place* from, const Place& to);
  Status force(const format::Forget& r);
  Status force(const format::Copy& r);
  Status force_new(std::string_view path);
  Status make_way(std::string_view path);
  Status keep_forced(const Place& at, uint64_t id);
  Status touch_if_there(std::string_view path, const format::Time& mtime);

  Status create(const format::Create& r);
  Status mkdir(const format::Mkdir& r);
  Status mknod(const format::Mknod& r);
  Status symlink(const format::Symlink& r);
  Status link(const format::Link& r);
  Status unlink(const format::Unlink& r);
  Status rmdir(const format::Rmdir& r);
  Status rename(const format::Rename& r);
  Status forget(const format::Forget& r);
  Status write(const format::Write& r);
  Status write_joined(int fd, const format::Write& r);
  Status truncate(const format::Truncate& r);
  Status fallocate(const format::Fallocate& r);
  Status copy(const format::Copy& r);
  Status sync(const format::Sync& r);
  Status set_attr(const format::SetAttr& r);
  Status set_xattr(const format::SetXattr& r);
  Status remove_xattr(const format::RemoveXattr& r);
  Status set_flags(const format::SetFlags& r);

  Status beyond(const format::Record& record) const;
  Object object(std::string_view path) const { return {path, id_}; }
  Status dress(int fd, const Birth& birth, const Object& object, Descriptor kind = Descriptor::kAny);
  Result<Tree::Known> found_at_birth(int fd, const Birth& birth, const Object& object);
  Status keep(const Place& place, uint64_t id, const Object& object);
  bool goes_on() const { return next_ == Next::kFile || next_ == Next::kWrite; }
  Status touch_directory(std::string_view path, const format::Time& mtime);
  Status touch_directory_later(std::string_view path, const format::Time& mtime);
  void drop_owed(std::string_view path);
  Status settle_directories();
  void forget_births(std::string_view parent = {});  // all without one
  Status before_content(int fd);
  Status after_content(int fd, const format::Time& mtime, uint32_t mode, const Object& object);
  Status store_xattr(int path_fd, std::string_view name, ByteView value, const Object& object);
  Status rename_once(const format::Rename& r, const Place& from, const Place& to);
  Status keep_mtimes(const format::Rename& r, const Place& from, const struct stat& other, const Place& to,
                     const struct stat& moved);
  Status keep_mtime(const Place& at, const format::Time& mtime, const Object& directory);
  Status dress_whiteout(const format::Rename& r);
  Status emulate_fallocate(int fd, const format::Fallocate& r);

  // Does `operation`, and where inode flags (append only, immutable) or the mode of `in_the_way` forbid it, once more without them: the
  // source's kernel allowed it, ours has more to do, such as times, or less rights.
  template <class F>
  Status lifting(const Object& in_the_way, F operation) {
    return lifting_function(in_the_way, std::ref(operation));  // which takes no memory
  }
  Status lifting_function(const Object& in_the_way, const std::function<Status()>& operation);
  Status put_back_lifted(const Object& object);

  Tree& tree_;
  State& state_;
  Scan* const scan_;
  Way way_;
  const Policy policy_;
  const std::optional<TimeRange> times_;
  const bool is_root_;
  uint64_t id_ = 0;
  uint64_t seq_ = 0;
  uint32_t links_ = 0;
  bool again_ = false;
  Next next_ = Next::kOther;
  std::vector<ByteView> joined_;  // data of WRITE frames before this one that go to the file with its own
  bool owes_mtime_ = false;       // of the object of the last frame
  struct Owed {
    std::string path;
    format::Time mtime;
  };
  std::vector<Owed> owed_;  // directories whose mtimes are to be set
  struct Found {
    std::string parent;  // empty: nothing
    uint32_t mode;       // asked for
    Tree::Known is;
  };
  Found found_[2];  // what an object, or a directory, that was born with these was found to be
};

}  // namespace tfs::apply
