#include "lib/apply/state.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include "lib/apply/attributes.h"
#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"
#include "lib/sys/mount_id.h"

namespace tfs::apply {
namespace {

constexpr size_t kFileSize = 4096;
constexpr char kMagic[8] = {'T', 'F', 'S', 'S', 'T', 'A', 'T', 'E'};
constexpr uint32_t kVersion = 3;
static_assert(sizeof(StateBlock) <= kFileSize);

// "NAME" of the directory DIR is ".NAME.tfs" beside it.
Result<std::string> place_of(const std::string& dir, int dir_fd) {
  char resolved[PATH_MAX];
  if (::realpath(dir.c_str(), resolved) == nullptr)
    return system_error("apply.state.find", errno, "unable to find " + escape(dir));
  std::string path(resolved);
  struct stat own, above;
  if (::fstat(dir_fd, &own) != 0) return system_error("apply.state.stat", errno, "unable to read " + escape(dir));
  size_t slash = path.rfind('/');
  if (::stat(path.substr(0, slash + 1).c_str(), &above) != 0)
    return system_error("apply.state.above", errno, "unable to read above " + escape(dir));
  if (path == "/" || own.st_dev != above.st_dev) return path + "/" + kInnerName;
  return path.substr(0, slash + 1) + "." + path.substr(slash + 1) + ".tfs";
}

Result<std::string> boot_id() {
  std::string text =
      TFS_TRY(sys::read_file("apply.state.boot_id", AT_FDCWD, "/proc/sys/kernel/random/boot_id", sizeof StateBlock::boot_id - 1));
  return text.substr(0, text.find('\n'));
}

// Where the filesystem has no room to write to the page (btrfs, with a full quota) a store there is SIGBUS: it waits, and is tried again.
std::atomic<std::uintptr_t> page_at{0};
std::atomic<bool> is_given_up{false};

void wait_for_room(int, siginfo_t* info, void*) {
  std::uintptr_t address = reinterpret_cast<std::uintptr_t>(info->si_addr), page = page_at;
  if (page == 0 || address < page || address >= page + kFileSize) {
    ::signal(SIGBUS, SIG_DFL);
    return;
  }
  if (is_given_up) ::_exit(4);  // as tfs_mirror does where it is stopped; the state is what it is after a kill
  static std::atomic<bool> is_said{false};
  constexpr std::string_view text = "tfs_mirror: unable to write the state of the mirror: waiting, and trying again\n";
  if (!is_said.exchange(true) && ::write(STDERR_FILENO, text.data(), text.size()) < 0) is_said = false;
  timespec pause{0, 100'000'000};
  ::nanosleep(&pause, nullptr);
}

void guard_page(void* page) {
  page_at = reinterpret_cast<std::uintptr_t>(page);
  struct sigaction action {};
  action.sa_sigaction = wait_for_room;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

void State::give_up() { is_given_up = true; }

void State::Unmap::operator()(StateBlock* block) const { ::munmap(block, kFileSize); }

Result<State> State::open_directory(const std::string& dir, int dir_fd, bool makes) {
  State state;
  state.path_ = TFS_TRY(place_of(dir, dir_fd));
  if (makes && ::mkdir(state.path_.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error("apply.state.mkdir", errno, "unable to make the state directory " + escape(state.path_));
  }
  state.directory_ =
      TFS_TRY(sys::open_at("apply.state.open", AT_FDCWD, state.path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return state;
}

Status State::map(bool makes) {
  int flags = makes ? O_RDWR | O_CREAT | O_NOFOLLOW : O_RDONLY | O_NOFOLLOW;
  file_ = TFS_TRY(sys::open_at("apply.state.file", directory_.get(), "state", flags, 0600));
  struct stat st;
  if (::fstat(file_.get(), &st) != 0) return system_error("apply.state.size", errno, "unable to read " + escape(path_));
  bool is_new = st.st_size == 0;
  if (is_new && !makes) return system_error("apply.state.none", ENOENT, "no state in " + escape(path_));
  if (is_new) {
    // Where each write takes new room (btrfs) less of it is needed.
    uint32_t inode_flags = 0;
    if (get_flags(file_.get(), inode_flags) == 0) set_flags(file_.get(), inode_flags | FS_NOCOW_FL);
    if (int error = ::posix_fallocate(file_.get(), 0, kFileSize)) {
      [[maybe_unused]] int emptied = ::ftruncate(file_.get(), 0);
      return system_error("apply.state.allocate", error, "unable to make room in " + escape(path_));
    }
  } else if (static_cast<size_t>(st.st_size) < kFileSize) {
    return mismatch("the state file in " + escape(path_) + " is cut short: the mirror needs a scan");
  }
  void* at = ::mmap(nullptr, kFileSize, makes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file_.get(), 0);
  if (at == MAP_FAILED) return system_error("apply.state.map", errno, "unable to map the state of " + escape(path_));
  block_.reset(static_cast<StateBlock*>(at));
  if (makes) guard_page(at);
  // Zeros, too, where the program was killed before it had come to this.
  constexpr char kNone[sizeof kMagic]{};
  if (std::memcmp(block_->magic, kNone, sizeof kNone) == 0) {
    if (!makes) return system_error("apply.state.unmade", ENOENT, "no state in " + escape(path_));
    block_->version = kVersion;
    std::memcpy(block_->magic, kMagic, sizeof kMagic);
  }
  if (std::memcmp(block_->magic, kMagic, sizeof kMagic) != 0) {
    return mismatch("the state file in " + escape(path_) + " is none of tfs_mirror");
  }
  if (block_->version != kVersion) {
    return mismatch("the state in " + escape(path_) + " is of version " + std::to_string(block_->version) +
                    ", this program knows version " + std::to_string(kVersion));
  }
  return {};
}

Result<State> State::open(const std::string& dir, int dir_fd) {
  State state = TFS_TRY(open_directory(dir, dir_fd, true));
  state.lock_ = std::make_unique<sys::LockFile>(
      TFS_TRY(sys::LockFile::take("apply.state.lock", state.directory_.get(), "lock", "the mirror " + dir)));
  TFS_TRY(state.map(true));
  if (::mkdirat(state.directory_.get(), "held", 0700) != 0 && errno != EEXIST) {
    return system_error("apply.state.held", errno, "unable to write " + escape(state.path_));
  }
  TFS_TRY(state.begin_run(dir_fd));
  state.held_ =
      TFS_TRY(sys::open_at("apply.state.open_held", state.directory_.get(), "held", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return state;
}

Result<State> State::inspect(const std::string& dir, int dir_fd) {
  State state = TFS_TRY(open_directory(dir, dir_fd, false));
  TFS_TRY(state.map(false));
  if (state.block_->root.differs_from(sys::identity_of(dir_fd)))
    return system_error("apply.state.other", ENOENT, escape(state.path_) + " is about another directory");
  return state;
}

// What another directory, or another start of the machine means, and the marks of these.
Status State::begin_run(int dir_fd) {
  sys::settle_identity(dir_fd);
  sys::FileIdentity root = sys::identity_of(dir_fd);
  if (block_->root.differs_from(root)) forget_all();
  block_->root = root;
  std::string boot = TFS_TRY(boot_id());
  bool was_restarted = std::strncmp(block_->boot_id, boot.c_str(), sizeof block_->boot_id) != 0;
  // A filesystem that has given up and was mounted again has lost what was not on disk as well. Another namespace has other mounts.
  sys::MountId mount = sys::mount_id(file_.get()), before{block_->mount, block_->mount_namespace};
  bool was_remounted = mount.differs_from(before);
  bool lost_power = has_position() && !block_->is_closed && (was_restarted || was_remounted);
  if (lost_power) {
    bool doubted_all = is_doubtful() && block_->doubt_from == kDoubtAll;
    if (!is_doubtful() || (!doubted_all && block_->doubt_from > block_->synced)) block_->doubt_from.store(block_->synced);
    block_->standing = Standing::kDoubtful;
    block_->applied.store(block_->synced);
    block_->pending.store(block_->synced);
    block_->moved_ino = 0;
  }
  if (block_->is_mending.exchange(0) != 0 && is_exact()) doubt_all();
  for (size_t i = 0; i < kMaxLifted; i++) {
    if (block_->lifted[i].ino != 0) lifted_slots_ = i + 1;
  }
  // Noted, and no frame is done again that would put it back.
  bool is_left_changed = lifted_slots_ > 0 && block_->pending == block_->applied;
  if ((lost_power && block_->has_opened.exchange(0) != 0) || is_left_changed) {
    doubt_all();
    clear_all_lifted();
  }
  // What was in doubt is told by the frames: they are read once more.
  if (is_doubtful() && block_->doubt_from != kDoubtAll) {
    block_->applied.store(block_->doubt_from);
    block_->pending.store(block_->doubt_from);
  }
  std::memset(block_->boot_id, 0, sizeof block_->boot_id);
  std::memcpy(block_->boot_id, boot.data(), boot.size());
  block_->mount = mount.mount;
  block_->mount_namespace = mount.mount_namespace;
  block_->is_closed = 0;
  block_->frames = block_->bytes = block_->waiting_bytes = block_->open_wants = 0;
  block_->heard_at_ms = 0;
  block_->activity = Activity::kNone;
  block_->pid = static_cast<uint32_t>(::getpid());
  return write_out();
}

// Of the objects in held/ a new beginning lets go, or a scan.
void State::forget_all() {
  if (has_position()) sys::say("this is not the directory that " + escape(path_) + " is about: what that says is forgotten");
  set_unproved({});
  block_->moved_ino = 0;
  block_->has_opened = block_->is_mending = 0;
  block_->source_time_ms = 0;
  clear_all_lifted();
}

Status State::write_out() {
  if (::msync(block_.get(), kFileSize, MS_SYNC) != 0 || ::fdatasync(file_.get()) != 0) {
    return system_error("apply.state.sync", errno, "unable to sync " + escape(path_));
  }
  return {};
}

Status State::sync() { return block_->synced == block_->applied ? Status() : put_on_disk(); }

// In this order: a frame that is counted as synced is on disk before that is said.
Status State::put_on_disk() {
  std::unique_lock lock(*mutex_);
  uint64_t applied = block_->applied.load(std::memory_order_acquire), counts = counts_, openings = openings_;
  bool is_closed = std::ranges::all_of(block_->lifted, [](const StateBlock::Lifted& slot) { return slot.ino == 0; });
  lock.unlock();
  if (::syncfs(directory_.get()) != 0)
    return system_error("apply.state.syncfs", errno, "unable to sync the mirror of " + escape(path_));
  lock.lock();
  if (counts == counts_) block_->synced = applied;  // else it is about another epoch now
  if (is_closed && openings == openings_) block_->has_opened = 0;
  lock.unlock();
  return write_out();
}

Status State::write_bad_news() {
  if (!has_bad_news_) return {};
  TFS_TRY(write_out());
  has_bad_news_ = false;
  return {};
}

Status State::close() {
  TFS_TRY(sync());
  block_->is_closed = 1;
  block_->activity = Activity::kNone;
  block_->pid = 0;
  return write_out();
}

// Asked of the process and not of the lock, which would be in the way of a program that starts at this moment.
bool State::is_in_use() const {
  uint32_t pid = block_->pid;
  if (pid == 0) return false;
  Result<std::string> name = sys::read_file("apply.state.comm", AT_FDCWD, ("/proc/" + std::to_string(pid) + "/comm").c_str(), 32);
  return name && *name == "tfs_mirror\n";
}

format::Position State::position() const {
  format::Position position;
  std::memcpy(position.epoch.bytes.data(), block_->epoch, sizeof block_->epoch);
  position.seq = block_->applied;
  return position;
}

Status State::set_exact(const format::Position& position) {
  bool is_new = std::memcmp(block_->epoch, position.epoch.bytes.data(), sizeof block_->epoch) != 0;
  if (is_exact() && !is_new) return {};
  if (is_new || !has_position()) set_unproved(position);
  TFS_TRY(put_on_disk());
  block_->standing = Standing::kExact;
  has_bad_news_ = false;
  return write_out();
}

void State::begin_empty(const format::Position& position) {
  set_unproved(position);
  block_->standing = Standing::kExact;
}

void State::doubt_all() {
  if (!has_position() || (is_doubtful() && block_->doubt_from == kDoubtAll)) return;
  block_->doubt_from = kDoubtAll;
  block_->standing = Standing::kDoubtful;
  has_bad_news_ = true;
}

// Nothing of this is on disk for sure: [synced] begins anew.
void State::set_unproved(const format::Position& position) {
  std::lock_guard guard(*mutex_);
  block_->standing = Standing::kNone;
  std::memcpy(block_->epoch, position.epoch.bytes.data(), sizeof block_->epoch);
  block_->synced = 0;
  block_->pending = position.seq;
  block_->applied = position.seq;
  counts_ += 1;
  has_bad_news_ = true;
}

void State::invalidate() {
  block_->standing = Standing::kNone;
  has_bad_news_ = true;
}

void State::begin(uint64_t seq) {
  // Done again after a kill, the note of the first attempt is what counts.
  if (seq <= block_->pending) return;
  block_->moved_ino = 0;
  block_->pending.store(seq, std::memory_order_release);
}

bool State::note_lifted(uint64_t ino, uint32_t flags) {
  size_t free = 0;
  while (free < kMaxLifted && block_->lifted[free].ino != 0) free++;
  if (free == kMaxLifted) return false;
  block_->lifted[free].flags = flags;
  block_->lifted[free].ino.store(ino, std::memory_order_release);
  lifted_slots_ = std::max<size_t>(lifted_slots_, free + 1);
  return true;
}

Status State::note_opened(uint64_t ino, uint32_t flags) {
  if (!note_lifted(ino, flags)) {
    return system_error("apply.state.note_opened", EMFILE,
                        "unable to open more than " + std::to_string(kMaxLifted) + " directories that are closed to their owner");
  }
  std::lock_guard guard(*mutex_);
  openings_++;
  return block_->has_opened.exchange(1) != 0 ? Status() : write_out();
}

void State::clear_lifted(uint64_t ino) {
  for (size_t i = 0; i < lifted_slots_; i++) {
    if (block_->lifted[i].ino == ino) block_->lifted[i].ino = 0;
  }
  while (lifted_slots_ > 0 && block_->lifted[lifted_slots_ - 1].ino == 0) lifted_slots_--;
}

void State::clear_all_lifted() {
  for (StateBlock::Lifted& slot : block_->lifted) slot.ino = 0;
  lifted_slots_ = 0;
}

std::optional<uint32_t> State::lifted(uint64_t ino) const {
  for (size_t i = 0; i < lifted_slots_; i++) {
    if (block_->lifted[i].ino == ino) return block_->lifted[i].flags;
  }
  return {};
}

}  // namespace tfs::apply
