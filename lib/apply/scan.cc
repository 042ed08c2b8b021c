#include "lib/apply/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "lib/apply/attributes.h"
#include "lib/apply/removal.h"
#include "lib/apply/way.h"
#include "lib/base/escape.h"
#include "lib/format/rel_path.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::apply {
namespace {

constexpr int64_t kPatienceMs = 5000;       // for an answer to a want
constexpr uint64_t kSaidDifferences = 100;  // more are only counted

std::string shown(const Object& object) {
  return object.path.empty() ? "nameless object " + std::to_string(object.id) : escape(object.path);
}

uint8_t type_of(mode_t mode) { return static_cast<uint8_t>((mode & S_IFMT) >> 12); }

std::string read_target(const Place& at) {
  std::string text(format::kMaxTarget + 1, '\0');
  ssize_t n = ::readlinkat(at.dir, at.name.c_str(), text.data(), text.size());
  text.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return text;
}

// What writing content takes away and the content's description does not give back: the mtime, set-id bits, the capabilities.
class KeepUnchanged {
 public:
  KeepUnchanged(int fd, State& state) : mending_(state), fd_(fd), mtime_(fd, state) {
    size_ = ::fgetxattr(fd, kName, value_, sizeof value_);
    bool is_known = (size_ >= 0 || errno == ENODATA || errno == EOPNOTSUPP) && ::fstat(fd, &before_) == 0;
    if (!is_known) state.note_loss();
  }
  ~KeepUnchanged() {
    bool is_back = size_ <= 0 || ::fsetxattr(fd_, kName, value_, static_cast<size_t>(size_), 0) == 0;
    if (before_.st_mode & (S_ISUID | S_ISGID)) is_back = set_mode(fd_, before_.st_mode) == 0 && is_back;
    if (!is_back) mending_.state.note_loss();
  }
  KeepUnchanged(const KeepUnchanged&) = delete;
  KeepUnchanged& operator=(const KeepUnchanged&) = delete;

 private:
  struct Mending {
    explicit Mending(State& s) : state(s) { state.begin_mending(); }
    ~Mending() { state.end_mending(); }
    State& state;
  };
  static constexpr const char* kName = "security.capability";
  Mending mending_;  // to the end of all below
  int fd_;
  KeepMtime mtime_;
  struct stat before_ {};
  char value_[64];
  ssize_t size_ = -1;
};

// A page that reaches over the file's end is freed only where all of it is punched.
bool make_hole(int fd, uint64_t begin, uint64_t end) {
  struct stat st;
  bool is_last = ::fstat(fd, &st) == 0 && end >= static_cast<uint64_t>(st.st_size);
  if (is_last) end = (end + format::kHashPage - 1) / format::kHashPage * format::kHashPage;
  return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
                     static_cast<off_t>(end - begin)) == 0;
}

bool is_device(mode_t mode) { return S_ISCHR(mode) || S_ISBLK(mode); }

}  // namespace

Scan::Scan(Tree& tree, State& state, const Policy& policy, Wants& wants, bool only_checks, const TimeRange& times)
    : tree_(tree),
      state_(state),
      policy_(policy),
      times_(times),
      wants_(wants),
      only_checks_(only_checks),
      buffer_(std::make_unique<format::Block>()) {
  clear_ids();  // of one that was killed: they would keep what the stream removes
}

// Where the stream ends inside a scan, too, files have no names but those that the mirror shows.
Scan::~Scan() { clear_ids(); }

void Scan::set_running(bool is_running) {
  is_running_ = is_running;
  state_.note_scan(is_running);
}

Scan::Outcome Scan::take_outcome() { return std::exchange(outcome_, Outcome::kNone); }

void Scan::differs(const Object& object, const std::string& what) {
  differences_ += 1;
  if (only_checks_) {
    state_.doubt_all();
    if (differences_ <= kSaidDifferences) sys::say("differs: " + shown(object) + ": " + what);
    return;
  }
  if (doubts_.expects_difference()) return;
  state_.doubt_all();  // until all is repaired, whatever happens to this program
  if (!is_whole_) doubts_.doubt_all();
}

void Scan::contradicts(const Object& object, const std::string& what) {
  if (!trusts()) return;
  differs(object, what);
  needs_another_ = true;
}

void Scan::clear_ids() {
  static_cast<void>(remove_tree({state_.directory_fd(), "ids"}, {{}, 0}, state_).ok());
  id_of_.clear();
  noted_.clear();
}

// Others may have the source scanned as well. Where answers to our last scan are still to come, one of a part adds to it; one of the
// whole stands for both.
Status Scan::begin(const format::ScanBegin& r) {
  bool is_whole = (r.flags & format::kScanWhole) != 0, goes_on = is_running_ && has_ended_ && !is_whole;
  bool is_cut_off = is_running_ && !has_ended_ && is_whole_ && !is_whole;
  set_running(true);
  has_ended_ = false;
  is_quick_ = (r.flags & format::kScanQuick) != 0;
  compares_content_ = (compares_content_ || !goes_on) && (!is_quick_ || policy_.trusts_mtime);
  seed_ = r.seed;
  listing_.clear();
  has_more_xattrs_ = needs_another_ = asks_another_ = false;
  doubts_.scan_begins(r.path, goes_on);
  if (goes_on) return {};
  state_.forget_loss();
  if (is_cut_off && !only_checks_ && !state_.is_exact()) wants_.ask_scan(".");
  was_exact_ = state_.is_exact();
  is_whole_ = is_whole;
  names_ = bytes_ = differences_ = 0;
  wants_.clear();
  refused_.clear();
  held_.clear();
  tree_.forget_all();
  clear_ids();
  if (only_checks_) return {};
  if (::mkdirat(state_.directory_fd(), "ids", 0700) != 0) return at_object("apply.scan.ids", errno, "make", {"ids", 0});
  ids_ = TFS_TRY(sys::open_at("apply.scan.open_ids", state_.directory_fd(), "ids", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return {};
}

bool Scan::is_known(uint64_t id) const {
  struct stat st;
  return find_known(id, st);
}

bool Scan::find_known(uint64_t id, struct stat& st) const {
  return ids_.is_open() && noted_.contains(id) && stat_at(known_place(id), st);
}

void Scan::forget_known(uint64_t id) {
  struct stat st;
  if (!find_known(id, st)) return;
  id_of_.erase(st.st_ino);
  noted_.erase(id);
  ::unlinkat(ids_.get(), std::to_string(id).c_str(), 0);
}

Place Scan::known_place(uint64_t id) const { return {ids_.get(), std::to_string(id)}; }

bool Scan::is_settled(const Object& object, uint32_t links) {
  Result<Place> at = tree_.place(object);
  struct stat st, known;
  if (!at || !stat_at(*at, st)) return false;
  if (find_known(object.id, known)) return known.st_ino == st.st_ino;
  if (S_ISDIR(st.st_mode) || trusts()) return true;
  return links_in_tree(st, object.id) <= 1 && links <= 1;
}

// The local links of an object, without the one that keeps it as nameless.
uint64_t Scan::links_in_tree(const struct stat& st, uint64_t id) const {
  struct stat held;
  if (st.st_nlink <= 1) return st.st_nlink;
  return st.st_nlink - (stat_at(tree_.held_place(id), held) && held.st_ino == st.st_ino ? 1 : 0);
}

Status Scan::join_known(const Object& target) {
  if (target.path.empty() || !is_known(target.id) || is_settled(target, 0)) return {};
  contradicts(target, "wrong link group");
  TFS_TRY(tree_.make_parents(target.path));
  Place at = TFS_TRY(tree_.place(target));
  KeepMtime kept(at.dir, state_);
  TFS_TRY(remove_tree(at, target, state_));
  tree_.forget_directory(target.path);
  tree_.forget_file(target.id);
  Place from = known_place(target.id);
  if (::linkat(from.dir, from.name.c_str(), at.dir, at.name.c_str(), 0) != 0) {
    return at_object("apply.scan.join_known", errno, "link", target);
  }
  return {};
}

// Rule 1 of the model, for what is not noted here is not found by its id. Without it the tests of scans must turn red: that is what this
// macro is for, and for nothing else.
#ifdef TFS_TEST_WITHOUT_SOURCE_IDS
Status Scan::note_links(const Place&, uint64_t, const Object&) { return {}; }
#else
Status Scan::note_links(const Place& at, uint64_t id, const Object& shown_as) {
  struct stat st;
  if (!ids_.is_open() || is_known(id) || !stat_at(at, st)) return {};
  Place to = known_place(id);
  if (::linkat(at.dir, at.name.c_str(), to.dir, to.name.c_str(), 0) != 0)
    return at_object("apply.scan.note", errno, "note", shown_as);
  id_of_[st.st_ino] = id;
  noted_.insert(id);
  return {};
}
#endif

void Scan::name_goes(const Place& at) {
  struct stat st;
  if (is_running_ && only_checks_ && !id_of_.empty() && stat_at(at, st) && st.st_nlink <= 1) id_of_.erase(st.st_ino);
}

// --- LIST

void Scan::name_came(std::string_view path) {
  if (!listing_.empty() && format::parent_of(path) == listing_) listed_.emplace(format::name_of(path));
}

Status Scan::list(const format::List& r) {
  if (!is_running_) return {};
  if (r.flags & format::kListFirst) {
    listing_ = r.path;
    listed_.clear();
  }
  if (listing_ != r.path) return {};
  ByteView entries = r.entries;
  uint8_t type = 0;
  std::string_view name;
  Result<int> dir = tree_.directory(r.path);
  while (format::next_entry(entries, type, name)) {
    listed_.emplace(name);
    Place at{dir ? *dir : -1, std::string(name)};
    struct stat st;
    bool stands_in = is_device(static_cast<mode_t>(type) << 12) && !policy_.makes_devices;  // or may: the description tells
    if (!dir || type == DT_UNKNOWN || stands_in || !stat_at(at, st) || type_of(st.st_mode) == type || only_checks_) continue;
    differs({r.path, 0}, "wrong type of " + escape(name));
    KeepMtime kept(at.dir, state_);
    TFS_TRY(remove_tree(at, {r.path, 0}, state_));
    tree_.forget_all();
    dir = tree_.directory(r.path);
  }
  if (!(r.flags & format::kListLast)) return {};
  TFS_TRY(remove_extra(listing_, listed_));  // where that fails, it is for this frame to be done again
  listing_.clear();
  return {};
}

Status Scan::remove_extra(std::string_view path, const std::unordered_set<std::string>& listed) {
  Result<int> dir = tree_.directory(path);
  if (!dir) return dir.error().kind == Kind::kSystem ? Status(std::move(dir).error()) : Status();
  sys::Fd fd(::openat(*dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* reading = fd.is_open() ? ::fdopendir(fd.get()) : nullptr;
  if (reading == nullptr) return at_object("apply.scan.list", errno, "list", {path, 0});
  static_cast<void>(fd.release());
  std::vector<std::string> extra;
  errno = 0;
  for (const dirent* e; (e = ::readdir(reading)) != nullptr; errno = 0) {
    std::string name = e->d_name;
    if (name == "." || name == ".." || listed.count(name) != 0) continue;
    if (path == "." && name == kInnerName) continue;
    extra.push_back(std::move(name));
  }
  int error = errno;
  ::closedir(reading);
  if (error != 0) return at_object("apply.scan.readdir", error, "list", {path, 0});
  for (const std::string& name : extra) differs({path, 0}, "extra name " + escape(name));
  if (extra.empty() || only_checks_) return {};
  KeepMtime kept(*dir, state_);
  for (const std::string& name : extra) TFS_TRY(remove_tree({*dir, name}, {path, 0}, state_));
  tree_.forget_all();
  return {};
}

// --- ENTRY

// What cannot be changed of an object is as it should be.
bool Scan::fits(const Place& at, const struct stat& st, const format::Entry& r) const {
  mode_t type = policy_.type_of(r.mode, r.major, r.minor);
  if ((st.st_mode & S_IFMT) != type) return false;
  if (S_ISLNK(type)) return read_target(at) == r.target;
  return !is_device(type) || st.st_rdev == makedev(r.major, r.minor);
}

// An empty object of the right type where there is none, or a wrong one.
Status Scan::make_bare(const format::Entry& r, const Object& target) {
  if (r.path == ".") return {};
  if (!r.path.empty()) TFS_TRY(tree_.make_parents(r.path));
  Place at = TFS_TRY(tree_.place(target));
  struct stat st;
  mode_t type = policy_.type_of(r.mode, r.major, r.minor);
  bool is_there = stat_at(at, st);
  if (is_there && fits(at, st, r)) return {};
  differs(target, is_there ? "wrong type or target" : "missing");
  KeepMtime kept(at.dir, state_);
  TFS_TRY(remove_tree(at, target, state_));
  tree_.forget_file(target.id);
  if (is_there && S_ISDIR(st.st_mode)) tree_.forget_directory(r.path);
  int failed = 0;
  if (type == S_IFDIR) failed = ::mkdirat(at.dir, at.name.c_str(), 0700);
  else if (type == S_IFLNK) failed = ::symlinkat(std::string(r.target).c_str(), at.dir, at.name.c_str());
  else failed = ::mknodat(at.dir, at.name.c_str(), type | 0600, makedev(r.major, r.minor));
  if (failed != 0) return at_object("apply.scan.make", errno, "make", target);
  return {};
}

// The object alone at its name: its other names belong to something else.
Status Scan::make_fresh(const Object& target, const struct stat& st) {
  Place at = TFS_TRY(tree_.place(target));
  KeepMtime kept(at.dir, state_);
  std::string link_target = S_ISLNK(st.st_mode) ? read_target(at) : std::string();
  if (::unlinkat(at.dir, at.name.c_str(), 0) != 0) return at_object("apply.scan.separate", errno, "separate", target);
  tree_.forget_file(target.id);
  int failed = S_ISLNK(st.st_mode) ? ::symlinkat(link_target.c_str(), at.dir, at.name.c_str())
                                   : ::mknodat(at.dir, at.name.c_str(), (st.st_mode & S_IFMT) | 0600, st.st_rdev);
  if (failed != 0) return at_object("apply.scan.make_fresh", errno, "make", target);
  return {};
}

// Names of one source object share one local inode; no local inode serves two source objects.
Status Scan::join_links(const Object& target, uint64_t id, uint32_t links, bool is_directory) {
  if (is_directory || target.path.empty()) return {};
  Place at = TFS_TRY(tree_.place(target));
  struct stat st, known;
  if (!stat_at(at, st)) return at_object("apply.scan.join", errno, "find", target);
  if (find_known(id, known)) {
    if (known.st_ino == st.st_ino) return {};
    differs(target, "wrong link group");
    KeepMtime kept(at.dir, state_);
    TFS_TRY(remove_tree(at, target, state_));
    tree_.forget_file(id);
    Place from = known_place(id);
    if (::linkat(from.dir, from.name.c_str(), at.dir, at.name.c_str(), 0) != 0) {
      return at_object("apply.scan.link", errno, "link", target);
    }
    return {};
  }
  auto taken = id_of_.find(st.st_ino);
  if ((taken != id_of_.end() && taken->second != id) || (links <= 1 && links_in_tree(st, id) > 1)) {
    differs(target, "wrong link group");
    TFS_TRY(make_fresh(target, st));
    at = TFS_TRY(tree_.place(target));
    if (!stat_at(at, st)) return at_object("apply.scan.join_again", errno, "find", target);
  }
  return links <= 1 ? Status() : note_links(at, id, target);
}

// An ordinary user's own object may be closed to its owner, and with it the attributes of users.
template <class Call>
ssize_t Scan::with_access(int path_fd, std::string_view name, const Call& call) {
  ssize_t result = call();
  if (result >= 0 || errno != EACCES || !name.starts_with("user.")) return result;
  OpenedObject opened(path_fd, state_);
  return call();
}

Status Scan::set_xattrs(int fd, const format::Entry& r, const Object& target) {
  if (!policy_.sets_xattrs) return {};
  std::string path = proc_path(fd);
  ByteView xattrs = r.xattrs, value;
  std::string_view name;
  std::vector<std::byte> here(xattrs.empty() ? 0 : format::kMaxXattrValue);
  while (format::next_xattr(xattrs, name, value)) {
    std::string key(name);
    right_xattrs_.insert(key);
    if (!policy_.carries(name)) continue;
    ssize_t n = with_access(fd, name, [&] { return ::getxattr(path.c_str(), key.c_str(), here.data(), here.size()); });
    if (n >= 0 && std::ranges::equal(ByteView(here).first(static_cast<size_t>(n)), value)) continue;
    differs(target, "attribute " + escape(key));
    if (only_checks_) continue;
    auto set = [&] { return ::setxattr(path.c_str(), key.c_str(), value.data(), value.size(), 0); };
    if (with_access(fd, name, set) != 0) {
      int error = errno;
      return at_object("apply.scan.setxattr", error, setting_xattr(fd, name, error), target);
    }
  }
  return r.flags & format::kEntryMore ? Status() : remove_other_xattrs(fd, target);
}

Status Scan::remove_other_xattrs(int fd, const Object& target) {
  std::string path = proc_path(fd);
  static thread_local std::vector<char> names(XATTR_LIST_MAX);  // not cleared for each object: most have none
  ssize_t size = ::listxattr(path.c_str(), names.data(), names.size());
  if (size < 0 && errno != EOPNOTSUPP) return at_object("apply.scan.listxattr", errno, "list the attributes of", target);
  for (const char* at = names.data(); at < names.data() + std::max<ssize_t>(size, 0); at += std::strlen(at) + 1) {
    if (right_xattrs_.count(at) != 0 || !policy_.carries(at)) continue;
    differs(target, "extra attribute " + escape(at));
    if (only_checks_) continue;
    if (with_access(fd, at, [&] { return ::removexattr(path.c_str(), at); }) != 0) {
      return at_object("apply.scan.removexattr", errno, "remove the attribute " + escape(at) + " of", target);
    }
  }
  return {};
}

// All attributes, each only where it differs.
Status Scan::dress(const format::Entry& r, const Object& target) {
  sys::Fd fd = TFS_TRY(tree_.open_path(target));
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return at_object("apply.scan.stat", errno, "read", target);
  uint32_t flags = 0;
  bool may_have_flags = S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
  bool wants_flags = policy_.sets_flags && may_have_flags;
  int flags_error = wants_flags ? get_flags(fd.get(), flags) : 0;
  bool has_flags = wants_flags && flags_error == 0;
  uint64_t differed = differences_;
  uint32_t wanted_flags = (flags & ~kCarriedFlags) | (r.inode_flags & kCarriedFlags);
  if (wants_flags && flags != wanted_flags) differs(target, "inode flags");
  if (flags_error != 0 && flags != wanted_flags && !only_checks_)
    return at_object("apply.scan.get_flags", flags_error, "read the flags of", target);
  if (has_flags && !only_checks_ && (flags & kForbiddingFlags)) {
    state_.begin_mending();
    set_flags(fd.get(), flags & ~kForbiddingFlags);
  }

  format::Time mtime = policy_.keeps_times ? r.mtime : times_.nearest(r.mtime);
  bool same_time = st.st_mtim.tv_sec == mtime.sec && static_cast<uint32_t>(st.st_mtim.tv_nsec) == mtime.nsec;
  bool same_size = !S_ISREG(r.mode) || static_cast<uint64_t>(st.st_size) == r.size;
  bool is_stand_in = policy_.type_of(r.mode, r.major, r.minor) != (r.mode & S_IFMT);
  if (policy_.sets_owner && (st.st_uid != r.uid || st.st_gid != r.gid)) {
    differs(target, "owner");
    if (only_checks_) {
    } else if (int error = set_owner(fd.get(), r.uid, r.gid)) {
      return at_object("apply.scan.chown", error, "set the owner of", target);
    }
  }
  // Before the attributes: it would take security.capability away.
  if (!same_size) {
    differs(target, "size");
    if (!only_checks_) {
      int file = TFS_TRY(tree_.file(target));
      if (::ftruncate(file, static_cast<off_t>(r.size)) != 0) return at_object("apply.scan.truncate", errno, "truncate", target);
    }
  }
  if (!is_stand_in) TFS_TRY(set_xattrs(fd.get(), r, target));
  // Only now: an owner or an ACL that was set has changed the mode.
  if (!S_ISLNK(r.mode)) {
    if ((st.st_mode & 07777) != (r.mode & 07777)) differs(target, "mode");
    bool is_as_read = differences_ == differed;
    if (!only_checks_ && !is_as_read && ::fstat(fd.get(), &st) != 0)
      return at_object("apply.scan.stat_again", errno, "read", target);
    if (!only_checks_ && (st.st_mode & 07777) != (r.mode & 07777)) {
      if (int error = set_mode(fd.get(), r.mode)) return at_object("apply.scan.chmod", error, "set the mode of", target);
    }
  }
  if (is_quick_ && S_ISREG(r.mode) && r.size > 0 && !(same_size && same_time)) {
    wants_.want(target.id, std::string(r.path), 0, r.size);
  }
  if (!same_time) differs(target, "mtime");
  if (!only_checks_) {
    // Where it is right it is left alone: an inode that is written to, for each object of a tree that is equal, would be a scan's main cost.
    bool is_kept = same_time && same_size;
    if (int error = is_kept ? 0 : set_mtime(fd.get(), r.mtime))
      return at_object("apply.scan.utimens", error, "set the times of", target);
    if (has_flags && (flags != wanted_flags || (flags & kForbiddingFlags))) {
      if (int error = set_flags(fd.get(), wanted_flags)) return at_object("apply.scan.flags", error, "set the flags of", target);
    }
    state_.end_mending();
  }
  return {};
}

Status Scan::lift(const Object& target) {
  if (only_checks_) return {};
  Result<Place> named = tree_.place(target);
  Place places[2] = {named ? *named : Place(), ids_.is_open() ? known_place(target.id) : Place()};
  for (const Place& at : places) {
    if (at.name.empty()) continue;
    sys::Fd fd(open_in(at.dir, at.name.c_str(), O_PATH));
    uint32_t flags = 0;
    int error = fd.is_open() ? get_flags(fd.get(), flags) : errno;
    if (error == 0 && (flags & kForbiddingFlags)) {
      state_.begin_mending();  // until it is dressed
      error = set_flags(fd.get(), flags & ~kForbiddingFlags);
    }
    if (is_of_the_disk(error)) return at_object("apply.scan.lift", error, "change the flags of", target);
  }
  return {};
}

Status Scan::entry(const format::Entry& r, uint64_t id, uint32_t links) {
  if (!is_running_) return {};
  Object target{r.path, id};
  bool goes_on = has_more_xattrs_;
  has_more_xattrs_ = (r.flags & format::kEntryMore) != 0;
  if (!goes_on) {
    right_xattrs_.clear();
    names_ += 1;
  }
  if (links > 1 && !S_ISDIR(r.mode) && !is_whole_) doubts_.meets_links();
  if (only_checks_) {
    if (!goes_on) return check_entry(r, target, id, links);
    Result<sys::Fd> fd = tree_.open_path(target);
    if (!fd && fd.error().kind == Kind::kSystem) return std::move(fd).error();
    return fd ? set_xattrs(fd->get(), r, target) : Status();
  }
  if (r.path.empty()) note_held(id);
  struct stat known;
  bool is_misfit = find_known(id, known) && !fits(known_place(id), known, r);
  if (is_misfit) forget_known(id);  // by a LINK, before it was described
  TFS_TRY(make_bare(r, target));
  TFS_TRY(join_links(target, id, links, S_ISDIR(r.mode)));
  return dress(r, target);
}

Status Scan::check_entry(const format::Entry& r, const Object& target, uint64_t id, uint32_t links) {
  Result<Place> at = tree_.place(target);
  struct stat st;
  if (!at || !stat_at(*at, st)) {
    differs(target, "missing");
    return {};
  }
  mode_t type = policy_.type_of(r.mode, r.major, r.minor);
  if ((st.st_mode & S_IFMT) != type) {
    differs(target, "wrong type");
    return {};
  }
  if (S_ISLNK(type) && read_target(*at) != r.target) differs(target, "target");
  if (is_device(type) && st.st_rdev != makedev(r.major, r.minor)) differs(target, "device number");
  if (!S_ISDIR(type) && !r.path.empty()) {
    auto known = id_of_.find(st.st_ino);
    bool other = known != id_of_.end() && known->second != id;
    if (other || (links > 0 && links_in_tree(st, id) != links)) differs(target, "link group");
    if (links > 1) id_of_[st.st_ino] = id;
  }
  return dress(r, target);
}

// --- content

Status Scan::hash(const format::Hash& r, uint64_t id, uint32_t links) {
  if (!is_running_) return {};
  Object target{r.path, id};
  bytes_ += r.length;
  if (r.length > format::kHashBlock) return corrupt("HASH of more than a block");
  Result<int> fd = only_checks_ || is_settled(target, links) ? tree_.file_to_read(target) : Result<int>(mismatch(""));
  bool is_equal = false;
  if (fd) {
    size_t done = 0;
    while (done < r.length) {
      ssize_t n = ::pread(*fd, buffer_->bytes + done, r.length - done, static_cast<off_t>(r.offset + done));
      if (n < 0) return at_object("apply.scan.pread", errno, "read", target);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    is_equal = done == r.length && format::block_hash(seed_, buffer_->first(done)) == format::BlockHash{r.low, r.high};
  } else if (fd.error().kind == Kind::kSystem) {
    return std::move(fd).error();
  }
  if (!is_equal) {
    differs(target, "content at " + std::to_string(r.offset));
    if (!only_checks_) wants_.want(id, std::string(r.path), r.offset, r.length);
    return {};
  }
  return only_checks_ ? Status() : allot(*fd, r, target);
}

// Holes where the source has holes, and zeros where it has zeros; the content is equal already, and in buffer_.
Status Scan::allot(int reading, const format::Hash& r, const Object& target) {
  bool may_have_holes = format::zero_pages(buffer_->first(r.length)) != 0;
  uint32_t here = may_have_holes ? sys::holes_in(reading, r.offset, r.offset + r.length, format::kHashPage) : 0;
  if (here == r.holes) return {};
  int fd = TFS_TRY(tree_.file(target));
  KeepUnchanged kept(fd, state_);
  for (uint32_t page = 0; uint64_t{page} * format::kHashPage < r.length; page++) {
    uint64_t at = r.offset + uint64_t{page} * format::kHashPage;
    size_t size = static_cast<size_t>(std::min<uint64_t>(format::kHashPage, r.offset + r.length - at));
    if (!((here ^ r.holes) >> page & 1)) continue;
    if (r.holes >> page & 1) {
      make_hole(fd, at, at + size);  // or it cannot
      continue;
    }
    static constexpr std::array<std::byte, format::kHashPage> zeros{};
    Status written = sys::pwrite_all("apply.scan.allot", fd, ByteView(zeros).first(size), at);
    if (!written) return at_object("apply.scan.allot", written.error().sys_errno, "write", target);
  }
  return {};
}

// Where an answer belongs, which may have another name of the object, or be meant for another mirror: -1 where that is not there yet.
Result<int> Scan::file_to_fill(const Object& target) {
  TFS_TRY(join_known(target));
  if (is_settled(target, 0)) {
    Result<int> fd = tree_.file(target);
    if (fd || fd.error().kind == Kind::kSystem) return fd;
  }
  refused_.insert(target.id);
  return -1;
}

// Whether that content is there.
Result<bool> Scan::holds(int fd, ByteView data, uint64_t offset) {
  std::vector<std::byte> here(std::min(data.size(), format::kHashBlock));
  while (!data.empty()) {
    ssize_t n = ::pread(fd, here.data(), std::min(here.size(), data.size()), static_cast<off_t>(offset));
    if (n < 0) return system_error("apply.scan.compare", errno, "unable to read the mirror");
    size_t size = static_cast<size_t>(n);
    if (size == 0 || !std::ranges::equal(ByteView(here).first(size), data.first(size))) return false;
    data = data.subspan(size);
    offset += size;
  }
  return true;
}

Result<bool> Scan::is_zero(int fd, uint64_t offset, uint64_t length) {
  static constexpr std::array<std::byte, 65536> zeros{};
  for (uint64_t done = 0; done < length; done += zeros.size()) {
    size_t size = static_cast<size_t>(std::min<uint64_t>(zeros.size(), length - done));
    if (!TFS_TRY(holds(fd, ByteView(zeros).first(size), offset + done))) return false;
  }
  return true;
}

// Content, and answers to others, as a check has them: what they say is true of the file where they stand.
template <class IsThere>
Status Scan::check_content(const Object& target, uint64_t offset, uint64_t length, const IsThere& is_there) {
  bytes_ += length;
  Result<int> fd = tree_.file_to_read(target);
  if (!fd && fd.error().kind == Kind::kSystem) return std::move(fd).error();
  if (!fd || !TFS_TRY(is_there(*fd))) differs(target, "content at " + std::to_string(offset));
  return {};
}

// In an exact mirror an answer to another one is there already, and nothing is touched.
Status Scan::data(const format::Data& r, uint64_t id) {
  if (!is_running_) return {};
  Object target{r.path, id};
  if (only_checks_) return check_content(target, r.offset, r.data.size(), [&](int fd) { return holds(fd, r.data, r.offset); });
  Result<int> fd = file_to_fill(target);
  if (!fd || *fd < 0) return fd ? Status() : fd.error();
  if (trusts() && TFS_TRY(holds(*fd, r.data, r.offset))) return {};
  if (trusts()) differs(target, "content at " + std::to_string(r.offset));
  KeepUnchanged kept(*fd, state_);
  Status written = sys::pwrite_all("apply.scan.pwrite", *fd, r.data, r.offset);
  if (!written) return at_object("apply.scan.write", written.error().sys_errno, "write", target);
  return {};
}

Status Scan::hole(const format::Hole& r, uint64_t id) {
  if (!is_running_) return {};
  Object target{r.path, id};
  if (only_checks_) return check_content(target, r.offset, r.length, [&](int fd) { return is_zero(fd, r.offset, r.length); });
  Result<int> fd = file_to_fill(target);
  if (!fd || *fd < 0) return fd ? Status() : fd.error();
  off_t data = ::lseek(*fd, static_cast<off_t>(r.offset), SEEK_DATA);
  if (data < 0 || static_cast<uint64_t>(data) >= r.offset + r.length) return {};  // it is one
  if (trusts() && !TFS_TRY(is_zero(*fd, r.offset, r.length))) differs(target, "content at " + std::to_string(r.offset));
  KeepUnchanged kept(*fd, state_);
  if (make_hole(*fd, r.offset, r.offset + r.length)) return {};
  std::vector<std::byte> zeros(std::min<uint64_t>(r.length, format::kHashBlock));
  for (uint64_t at = r.offset; at < r.offset + r.length; at += zeros.size()) {
    size_t n = static_cast<size_t>(std::min<uint64_t>(zeros.size(), r.offset + r.length - at));
    Status written = sys::pwrite_all("apply.scan.zero", *fd, ByteView(zeros).first(n), at);
    if (!written) return at_object("apply.scan.clear", written.error().sys_errno, "write", target);
  }
  return {};
}

Status Scan::given(const format::Given& r, uint64_t id) {
  if (!is_running_ || refused_.erase(id) != 0) return {};  // what was refused stays wanted
  wants_.given(id, r.offset, r.length);
  settle_wants();
  return {};
}

// --- the end

Status Scan::end(const format::ScanEnd&) {
  if (!is_running_) return {};
  has_ended_ = true;
  settle_wants();
  return {};
}

void Scan::abandon() {
  set_running(false);
  has_ended_ = false;
  clear_ids();
  ids_.reset();
  held_.clear();
  refused_.clear();
  wants_.clear();
  tree_.forget_all();
}

void Scan::settle_wants() {
  if (!is_running_ || !has_ended_) return;
  if (only_checks_) return finish(differences_ == 0 ? Outcome::kExact : Outcome::kDiffers);
  needs_another_ = needs_another_ || state_.has_loss();
  bool is_open = !wants_.is_empty(), needs_another = needs_another_ || wants_.has_overflowed();
  if (is_open && wants_.can_ask()) return;  // they may still come
  if (!is_open && !needs_another) return finish(Outcome::kExact);
  if (!wants_.can_ask()) return finish(trusts() ? Outcome::kNone : Outcome::kDiffers);
  if (std::exchange(asks_another_, true)) return;
  sys::say("scan: more differs than one scan can repair: asking for another one");
  wants_.ask_scan(".");
}

void Scan::remind(int64_t now_ms) {
  if (!is_running_ || !has_ended_ || only_checks_ || !wants_.is_overdue(now_ms, kPatienceMs)) return;
  if (wants_.is_empty()) return wants_.ask_scan(".");
  bool has_lost = false;
  for (const auto& [id, path] : wants_.open_objects()) {
    // The name under which it was asked for has gone, and it has others: the source may not find it by its id.
    bool is_lost = path.empty() && held_.count(id) == 0;
    has_lost = has_lost || is_lost;
    if (is_lost) continue;
    Result<int> fd = tree_.file({path, id});
    if (!fd && fd.error().kind == Kind::kMismatch) wants_.drop(id);
  }
  wants_.ask_again();
  if (has_lost) wants_.ask_scan(".");
  settle_wants();
}

// Left over from what the mirror was before, they would be in the way when an object of that number becomes nameless.
void Scan::let_go_others() {
  sys::Fd fd(::openat(state_.held_fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* reading = fd.is_open() ? ::fdopendir(fd.get()) : nullptr;
  if (reading == nullptr) return;
  static_cast<void>(fd.release());
  while (const dirent* e = ::readdir(reading)) {
    if (e->d_name[0] != '.' && held_.count(std::strtoull(e->d_name, nullptr, 10)) == 0) {
      static_cast<void>(remove_tree({state_.held_fd(), e->d_name}, {{}, 0}, state_).ok());
    }
  }
  ::closedir(reading);
}

void Scan::let_go_all() {
  held_.clear();
  let_go_others();
}

void Scan::finish(Outcome shown) {
  bool exact = shown == Outcome::kExact;
  set_running(false);
  if (exact && is_whole_ && !only_checks_) let_go_others();
  clear_ids();
  ids_.reset();
  tree_.forget_all();
  bool has_loss = exact && !only_checks_ && state_.has_loss();  // not before: what goes with the ids may have lost its flags
  if (has_loss) {
    exact = false;
    shown = wants_.can_ask() ? Outcome::kNone : Outcome::kDiffers;
    if (wants_.can_ask()) wants_.ask_scan(".");
  }
  std::string counts = std::to_string(names_) + " names and " + std::to_string(bytes_) + " bytes compared, " +
                       std::to_string(differences_) + " differences";
  std::string unseen = compares_content_ ? "" : "; no content where size and mtime are equal";
  if (only_checks_) sys::say("check: " + counts + unseen);
  else if (exact) sys::say("scan: " + counts + (differences_ == 0 ? "" : ", repaired") + unseen);
  else if (has_loss) sys::say("scan: " + counts + ", but flags of a file could not be put back: it needs another one");
  else if (shown == Outcome::kNone) sys::say("scan: " + counts + ", but what was copied meanwhile was not compared (--wants)");
  else sys::say("scan: " + counts + ", not all repaired: content is missing that nobody was asked for (--wants)");
  bool ends_doubts = exact && doubts_.scan_ends(compares_content_);
  bool is_proof = is_whole_ && compares_content_, stays_exact = was_exact_ && !only_checks_;
  outcome_ = exact && !is_proof && !stays_exact && !ends_doubts ? Outcome::kNone : shown;
}

}  // namespace tfs::apply
