#include "lib/apply/applier.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <type_traits>

#include "lib/apply/attributes.h"
#include "lib/format/rel_path.h"

namespace tfs::apply {
namespace {

constexpr size_t kMaxOwed = 32;  // directories

}  // namespace

// What a call says of an object that is not of the type that it will have once it is described.
bool is_wrong_kind(const Error& error) {
  int e = error.sys_errno;
  return e == EOPNOTSUPP || e == EINVAL || e == EPERM || e == ENOTTY || e == EISDIR;
}

// While a scan runs: a new object finds its place cleared; a change goes where the scan has been; names have their own rules.
template <class R>
Status Applier::forced(const R& r, Status (Applier::*strict)(const R&)) {
  if (!scan_->is_forcing()) return (this->*strict)(r);
  if constexpr (requires { force(r); }) {
    return force(r);
  } else {
    constexpr bool is_birth = requires { r.parent_mtime; };
    TFS_TRY(is_birth ? force_new(r.path) : scan_->join_known(object(r.path)));
    if (!is_birth && !scan_->is_settled(object(r.path), links_)) {
      scan_->contradicts(object(r.path), "not what a frame says");
      return {};
    }
    return unless_undescribed((this->*strict)(r), r.path);
  }
}

// What is in the way may be flags of the directory, which get back, or the object's own, which are then as they are described; and once
// more flags of the directory that have gone by then, since a disk that fails has refused to put them back.
Status Applier::describe(const format::Entry& r) {
  auto entry = [&] { return scan_->entry(r, id_, links_); };
  auto entry_in_parent = [&] {
    bool has_parent = !r.path.empty() && r.path != ".";
    return has_parent ? lifting({format::parent_of(r.path), 0}, entry) : entry();
  };
  Status status = entry_in_parent();
  for (int attempts = 2; attempts > 0 && !status && status.error().sys_errno == EPERM; attempts--) {
    TFS_TRY(scan_->lift(object(r.path)));
    status = entry_in_parent();
  }
  return status;
}

// What does not fit is still to be described.
Status Applier::unless_undescribed(Status status, std::string_view path) {
  if (status) return status;
  bool is_misfit = status.error().kind == Kind::kMismatch || (!scan_->trusts() && is_wrong_kind(status.error()));
  if (!is_misfit) return status;
  scan_->contradicts(object(path), status.error().message());
  return {};
}

struct Applier::Visitor {
  Applier& a;
  Status operator()(const format::Create& r) { return a.forced(r, &Applier::create); }
  Status operator()(const format::Mkdir& r) { return a.forced(r, &Applier::mkdir); }
  Status operator()(const format::Mknod& r) { return a.forced(r, &Applier::mknod); }
  Status operator()(const format::Symlink& r) { return a.forced(r, &Applier::symlink); }
  Status operator()(const format::Link& r) { return a.forced(r, &Applier::link); }
  Status operator()(const format::Unlink& r) { return a.forced(r, &Applier::unlink); }
  Status operator()(const format::Rmdir& r) { return a.forced(r, &Applier::rmdir); }
  Status operator()(const format::Rename& r) { return a.forced(r, &Applier::rename); }
  Status operator()(const format::Forget& r) { return a.forced(r, &Applier::forget); }
  Status operator()(const format::Write& r) { return a.forced(r, &Applier::write); }
  Status operator()(const format::Truncate& r) { return a.forced(r, &Applier::truncate); }
  Status operator()(const format::Fallocate& r) { return a.forced(r, &Applier::fallocate); }
  Status operator()(const format::Copy& r) { return a.forced(r, &Applier::copy); }
  Status operator()(const format::Sync& r) { return a.forced(r, &Applier::sync); }
  Status operator()(const format::SetAttr& r) { return a.forced(r, &Applier::set_attr); }
  Status operator()(const format::SetXattr& r) { return a.forced(r, &Applier::set_xattr); }
  Status operator()(const format::RemoveXattr& r) { return a.forced(r, &Applier::remove_xattr); }
  Status operator()(const format::SetFlags& r) { return a.forced(r, &Applier::set_flags); }
  Status operator()(const format::ScanBegin& r) { return a.scan_->begin(r); }
  Status operator()(const format::List& r) { return a.scan_->list(r); }
  Status operator()(const format::Entry& r) { return a.describe(r); }
  Status operator()(const format::Hash& r) {
    return a.lifting(a.object(r.path), [&] { return a.scan_->hash(r, a.id_, a.links_); });
  }
  Status operator()(const format::Data& r) {
    return a.lifting(a.object(r.path), [&] { return a.scan_->data(r, a.id_); });
  }
  Status operator()(const format::Hole& r) {
    return a.lifting(a.object(r.path), [&] { return a.scan_->hole(r, a.id_); });
  }
  Status operator()(const format::Given& r) { return a.scan_->given(r, a.id_); }
  Status operator()(const format::ScanEnd& r) { return a.scan_->end(r); }
  // What concerns the stream and not the tree.
  Status operator()(const format::Hello&) { return {}; }
  Status operator()(const format::End&) { return {}; }
  Status operator()(const format::Heartbeat&) { return {}; }
  Status operator()(const format::Gap&) { return {}; }
};

Applier::Applier(Tree& tree, State& state, const Policy& policy, Scan& scan, std::optional<TimeRange> times)
    : tree_(tree),
      state_(state),
      scan_(&scan),
      way_(tree.root(), state),
      policy_(policy),
      times_(times),
      is_root_(::geteuid() == 0) {
  ::umask(0);  // modes are given exactly
}

Status Applier::apply(const format::Frame& frame, const format::Record& record, bool again, Next next) {
  id_ = frame.header.id;
  seq_ = frame.header.seq;
  links_ = frame.header.links;
  again_ = again;
  next_ = next;
  if (!is_root_) TFS_TRY(way_.open(record));
  size_t joined = joined_.size();
  Status status = !times_ || times_->holds(record) ? std::visit(Visitor{*this}, record) : beyond(record);
  if (status && next == Next::kOther) status = settle_directories();
  if (int error = take_unseen_error(); error != 0 && status)
    status = system_error("apply.applier.unseen", error, "unable to look at what a frame is about");
  if (!status) settle();  // while the way there is open
  if (!is_root_) {
    Status closed = way_.close();
    if (status) status = std::move(closed);
  }
  if (!status && joined_.size() > joined) joined_.resize(joined);  // it is done again, and then brings its data again
  if (status) owes_mtime_ = goes_on();                             // else it still owes what the frame before has left to it
  return status;
}

// A filesystem would take another time in its place, and say nothing.
Status Applier::beyond(const format::Record& record) const {
  auto path_of = [](const auto& r) -> std::string_view {
    if constexpr (requires { r.path; }) return r.path;
    return {};
  };
  return at_object("apply.applier.times", EOVERFLOW,
                   "give a time that the mirror's filesystem cannot hold (see --coarse-times) to",
                   object(std::visit(path_of, record)));
}

bool Applier::settle() { return settle_directories().ok() && !owes_mtime_; }

void Applier::drop_rest() {
  owes_mtime_ = false;
  owed_.clear();
  forget_births();
  joined_.clear();
}

// --- shared pieces

Status Applier::store_xattr(int path_fd, std::string_view name, ByteView value, const Object& target) {
  if (!policy_.carries(name)) return {};
  if (::setxattr(proc_path(path_fd).c_str(), std::string(name).c_str(), value.data(), value.size(), 0) != 0) {
    // So says the kernel where it is no directory.
    struct stat st;
    bool is_wrong_type =
        errno == EACCES && name == "system.posix_acl_default" && ::fstat(path_fd, &st) == 0 && !S_ISDIR(st.st_mode);
    int error = is_wrong_type ? ENOTDIR : errno;
    return at_fd("apply.attributes.setxattr", error, setting_xattr(path_fd, name, error), path_fd, target);
  }
  return {};
}

// Owner before mode, since chown takes set-id bits; ACLs after the mode, since they change it to what it was; the mtime is the caller's.
// Only what differs is set, for most is as it should be where the object was made with its mode.
Status Applier::dress(int fd, const Birth& birth, const Object& target, Descriptor kind) {
  Tree::Known is = TFS_TRY(found_at_birth(fd, birth, target));
  bool chowns = policy_.sets_owner && (is.uid != birth.uid || is.gid != birth.gid);
  if (chowns) {
    if (int error = set_owner(fd, birth.uid, birth.gid, kind))
      return at_object("apply.birth.chown", error, "set the owner of", target);
  }
  bool keeps_mode = (is.mode & 07777) == (birth.mode & 07777) && !(chowns && (birth.mode & 07000) != 0);
  if (!keeps_mode) {
    if (int error = set_mode(fd, birth.mode, kind)) return at_object("apply.birth.chmod", error, "set the mode of", target);
  }
  ByteView xattrs = birth.xattrs, value;
  std::string_view name;
  while (format::next_xattr(xattrs, name, value)) TFS_TRY(store_xattr(fd, name, value, target));
  return {};
}

// What the kernel made of it: the same as of the one before it, where that was asked for alike in the same directory, and nothing has
// come between that could change the directory.
Result<Tree::Known> Applier::found_at_birth(int fd, const Birth& birth, const Object& target) {
  std::string_view parent = target.path.empty() ? std::string_view() : format::parent_of(target.path);
  Found& found = found_[S_ISDIR(birth.mode) ? 1 : 0];
  if (!again_ && !parent.empty() && found.parent == parent && found.mode == birth.mode) return found.is;
  struct stat st;
  if (::fstat(fd, &st) != 0) return at_object("apply.birth.stat", errno, "read", target);
  Tree::Known is{st.st_mode, st.st_uid, st.st_gid};
  found = {again_ ? std::string() : std::string(parent), birth.mode, is};
  return is;
}

void Applier::forget_births(std::string_view parent) {
  for (Found& found : found_) {
    if (parent.empty() || found.parent == parent) found.parent.clear();
  }
}

// Once for all that is born there one after the other.
Status Applier::touch_directory_later(std::string_view path, const format::Time& mtime) {
  auto owed = std::find_if(owed_.rbegin(), owed_.rend(), [path](const Owed& o) { return o.path == path; });
  if (owed != owed_.rend()) {
    owed->mtime = mtime;
    return {};
  }
  if (owed_.size() >= kMaxOwed) TFS_TRY(settle_directories());
  owed_.push_back({std::string(path), mtime});
  return {};
}

void Applier::drop_owed(std::string_view path) {
  std::erase_if(owed_, [path](const Owed& owed) { return owed.path == path; });
}

Status Applier::settle_directories() {
  for (const Owed& owed : owed_) TFS_TRY(touch_directory(owed.path, owed.mtime));
  owed_.clear();
  forget_births();
  return {};
}

Status Applier::touch_directory(std::string_view path, const format::Time& mtime) {
  return lifting({path, 0}, [&]() -> Status {
    int dir = TFS_TRY(tree_.directory(path));
    if (int error = set_mtime(dir, mtime)) return at_object("apply.directory.utimens", error, "set the times of", {path, 0});
    return {};
  });
}

// An ordinary user's change takes set-id bits that root's at the source left: noted, for where this is done again they are gone.
Status Applier::before_content(int fd) {
  struct stat st;
  bool loses_bits = !is_root_ && ::fstat(fd, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)) && !state_.lifted(st.st_ino);
  if (loses_bits && !state_.note_lifted(st.st_ino, State::kLiftedMode | (st.st_mode & 07777))) {
    return system_error("apply.content.note", EMFILE, "unable to note more modes in the state of the mirror");
  }
  return {};
}

Status Applier::after_content(int fd, const format::Time& mtime, uint32_t mode, const Object& target) {
  bool is_noted = !is_root_ && state_.has_lifted();
  struct stat st;
  std::optional<uint32_t> before;
  if (is_noted && ::fstat(fd, &st) == 0) before = state_.lifted(st.st_ino);
  if (before && mode == 0) mode = *before & 07777;
  if (mode != 0) {
    tree_.forget_known(target);
    if (int error = set_mode(fd, mode & 07777, Descriptor::kOpen))
      return at_object("apply.content.chmod", error, "set the mode of", target);
  }
  if (before) state_.clear_lifted(st.st_ino);
  if (goes_on()) return {};
  if (int error = set_mtime(fd, mtime, Descriptor::kOpen))
    return at_object("apply.content.utimens", error, "set the times of", target);
  return {};
}

// A nameless object lives on under its id: a second name, made before the last known one goes.
Status Applier::keep(const Place& place, uint64_t id, const Object& target) {
  Place held = tree_.held_place(id);
  if (::linkat(place.dir, place.name.c_str(), held.dir, held.name.c_str(), 0) != 0 && !(again_ && errno == EEXIST)) {
    return at_object("apply.keep.link", link_error(place), "keep", target);
  }
  return {};
}

Status Applier::put_back_lifted(const Object& target) {
  if (!state_.has_lifted()) return {};
  sys::Fd fd = TFS_TRY(tree_.open_path(target));
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return {};
  std::optional<uint32_t> was = state_.lifted(st.st_ino);
  if (!was || way_.has_opened(st.st_ino)) return {};
  int error = *was & State::kLiftedMode ? set_mode(fd.get(), *was) : apply::set_flags(fd.get(), *was);
  if (error != 0) return at_object("apply.lift.again", error, "set the flags of", target);
  state_.clear_lifted(st.st_ino);
  return {};
}

Status Applier::lifting_function(const Object& in_the_way, const std::function<Status()>& operation) {
  if (again_) TFS_TRY(put_back_lifted(in_the_way));
  Status status = operation();
  if (status || (status.error().sys_errno != EPERM && status.error().sys_errno != EACCES)) return status;
  Result<sys::Fd> fd = tree_.open_path(in_the_way);
  if (!fd && is_of_the_disk(fd.error().sys_errno)) return std::move(fd).error();
  uint32_t flags = 0;
  struct stat st;
  if (!fd || ::fstat(fd->get(), &st) != 0) return status;
  int error = get_flags(fd->get(), flags);
  // An ordinary user may not look into what is closed to its owner: see below.
  if (is_of_the_disk(error) || (is_root_ && error == EACCES))
    return at_object("apply.lift.get", error, "read the flags of", in_the_way);
  if (error == 0 && (flags & kForbiddingFlags) != 0) {
    if (!state_.note_lifted(st.st_ino, flags)) return status;
    error = apply::set_flags(fd->get(), flags & ~kForbiddingFlags);
    if (is_of_the_disk(error) || error == EACCES) return at_object("apply.lift.set", error, "set the flags of", in_the_way);
    if (error != 0) return status;
    status = operation();
    if ((error = apply::set_flags(fd->get(), flags)) != 0)
      return at_object("apply.lift.back", error, "set the flags of", in_the_way);
    state_.clear_lifted(st.st_ino);
    return status;
  }
  // An ordinary user's own file may be closed to its owner, while root at the source went in.
  if (is_root_ || way_.has_opened(st.st_ino)) return status;
  OpenedObject opened(fd->get(), state_);
  return opened.is_opened() ? operation() : status;
}

}  // namespace tfs::apply
