#include "lib/apply/way.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <type_traits>
#include <utility>

#include "lib/apply/attributes.h"
#include "lib/apply/tree.h"
#include "lib/base/escape.h"
#include "lib/format/rel_path.h"

namespace tfs::apply {

// Permissions of the owner.
struct Way::Needs {
  uint32_t above = S_IXUSR;  // in the directory that has the name
  uint32_t at = 0;           // in what the name stands for, where that is a directory
};

namespace {

constexpr uint32_t kAll = S_IRWXU;

// Whether directories that were open may be closed behind it, or their names be those of others.
template <class R>
constexpr bool kChangesWays =
    std::is_same_v<R, format::SetAttr> || std::is_same_v<R, format::SetXattr> || std::is_same_v<R, format::RemoveXattr> ||
    std::is_same_v<R, format::Rename> || std::is_same_v<R, format::Rmdir> || std::is_same_v<R, format::Unlink> ||
    std::is_same_v<R, format::List> || std::is_same_v<R, format::Entry>;

}  // namespace

Status Way::open(const format::Record& record) {
  TFS_TRY(close());
  auto open_all = [this](const auto& r) -> Status {
    using R = std::decay_t<decltype(r)>;
    if constexpr (requires { r.path; } && !std::is_same_v<R, format::ScanBegin>) {
      constexpr bool is_rename = std::is_same_v<R, format::Rename>;
      constexpr bool is_list = std::is_same_v<R, format::List>, is_entry = std::is_same_v<R, format::Entry>;
      constexpr bool changes_names = requires { r.parent_mtime; };
      Needs needs;
      if (changes_names || is_entry) needs.above = kAll;
      if (is_rename || is_list) needs.at = kAll;  // a directory that moves gets another "..", and needs the permission for that
      if (r.path == ".") needs.above = 0;         // it is open already, and what it has for a mode is its own matter
      TFS_TRY(open_path(r.path, needs));
      if constexpr (requires { r.new_path; }) TFS_TRY(open_path(r.new_path, needs));
      if constexpr (requires { r.source_path; }) TFS_TRY(open_path(r.source_path, needs));
      if (kChangesWays<R>) known_permissions_ = 0;
    }
    return {};
  };
  return std::visit(open_all, record);
}

Status Way::open_path(std::string_view path, const Needs& needs) {
  if (path.empty()) return {};  // a nameless object: it lies in the state
  std::string_view above = path == "." ? path : format::parent_of(path);
  if (needs.at == 0 && above == known_open_ && (known_permissions_ & needs.above) == needs.above) return {};
  sys::Fd fd(::fcntl(root_, F_DUPFD_CLOEXEC, 3));
  for (std::string_view left = path == "." ? std::string_view() : path; fd.is_open();) {
    bool is_at = left.empty(), is_above = !is_at && left.find('/') == left.npos;
    uint32_t permissions = is_at ? needs.at : is_above ? needs.above : uint32_t{S_IXUSR};
    if (permissions != 0) TFS_TRY(open_one(fd, permissions));
    if (is_at || (is_above && needs.at == 0)) break;
    std::string name(left.substr(0, left.find('/')));
    left.remove_prefix(std::min(left.size(), name.size() + 1));
    fd = sys::Fd(open_in(fd.get(), name.c_str(), O_PATH | O_DIRECTORY));
  }
  known_permissions_ = opened_.empty() ? needs.above : 0;
  if (known_permissions_ != 0) known_open_ = above;
  return {};
}

bool Way::has_opened(uint64_t ino) const {
  return std::ranges::any_of(opened_, [ino](const Opened& o) { return o.ino == ino; });
}

// `fd` stays open for the walk, whether it is kept or not.
Status Way::open_one(sys::Fd& fd, uint32_t permissions) {
  struct stat st;
  if (::fstat(fd.get(), &st) != 0 || st.st_uid != ::geteuid()) return {};
  if (has_opened(st.st_ino)) {
    set_mode(fd.get(), st.st_mode | permissions);
    return {};
  }
  std::optional<uint32_t> before = state_.lifted(st.st_ino);  // by a program that was killed
  bool is_left = before && (*before & State::kLiftedMode);
  if (!is_left && (st.st_mode & permissions) == permissions) return {};
  uint32_t mode = (is_left ? *before : st.st_mode) & 07777;
  sys::Fd kept(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!kept.is_open()) return system_error("apply.way.keep", errno, "unable to open a directory that is closed to its owner");
  if (!is_left) TFS_TRY(state_.note_opened(st.st_ino, State::kLiftedMode | mode));
  opened_.push_back({std::move(kept), st.st_ino, mode});
  set_mode(fd.get(), st.st_mode | permissions);  // where that fails, the operation says what it cannot do
  return {};
}

// From the deepest, since those above are the way to it for who does this again.
Status Way::close() {
  while (!opened_.empty()) {
    const Opened& last = opened_.back();
    if (int error = set_mode(last.fd.get(), last.mode))
      return system_error("apply.way.close", error, "unable to set the mode of a directory back that is closed to its owner");
    state_.clear_lifted(last.ino);
    opened_.pop_back();
  }
  return {};
}

OpenedObject::OpenedObject(int path_fd, State& state) : path_fd_(path_fd), state_(state) {
  struct stat st;
  if (path_fd_ < 0 || ::fstat(path_fd_, &st) != 0 || st.st_uid != ::geteuid() || S_ISLNK(st.st_mode)) return;
  std::optional<uint32_t> before = state_.lifted(st.st_ino);  // by a program that was killed
  bool is_left = before && (*before & State::kLiftedMode);
  mode_ = (is_left ? *before : st.st_mode) & 07777;
  constexpr uint32_t kNeeded = S_IRUSR | S_IWUSR;
  if (!is_left && (mode_ & kNeeded) == kNeeded) return;
  state_.begin_mending();
  if (!is_left && !state_.note_lifted(st.st_ino, State::kLiftedMode | mode_)) {
    state_.end_mending();
    return;
  }
  ino_ = st.st_ino;
  set_mode(path_fd_, mode_ | kNeeded);
}

// Where that fails the notes stay, and tell whoever comes next.
OpenedObject::~OpenedObject() {
  if (ino_ == 0 || set_mode(path_fd_, mode_) != 0) return;
  state_.clear_lifted(ino_);
  state_.end_mending();
}

}  // namespace tfs::apply
