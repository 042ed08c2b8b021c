#include "lib/spool/room.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::spool {
namespace {

constexpr int kPauseMs = 500;  // between looks at a full disk: nothing tells when somebody else makes room there

uint64_t free_bytes(int fd) {
  struct statvfs st;
  return ::fstatvfs(fd, &st) == 0 ? st.f_bavail * st.f_frsize : 0;
}

uint64_t sum_of(const std::vector<Segment>& segments) {
  uint64_t sum = 0;
  for (const Segment& s : segments) sum += s.size;
  return sum;
}

}  // namespace

// Under a TrimLock. The newest segment is no candidate.
Result<std::optional<Room::Oldest>> Room::oldest() const {
  std::vector<Segment> segments = TFS_TRY(dir_.segments());
  if (segments.size() < 2) return std::optional<Oldest>();
  std::string holder;
  std::optional<uint64_t> needed = TFS_TRY(first_held(segments, holder));
  return std::optional<Oldest>({segments.front(), needed && *needed <= segments.front().name.index});
}

// Where room is short a quarter of it is for what may be under way behind readers.
Result<std::optional<uint64_t>> Room::first_held(const std::vector<Segment>& segments, std::string& holder) const {
  uint64_t under_way = kUnderWay;
  if (limits_.max_bytes > 0) under_way = std::min(under_way, limits_.max_bytes / 4);
  if (is_waiting_) under_way = std::min(under_way, sum_of(segments) / 4);
  return first_needed(TFS_TRY(list_readers(dir_)), segments, under_way, holder);
}

Status Room::remove(const Segment& segment) const { return dir_.remove("spool.room.remove", to_text(segment.name)); }

Status Room::before_segment(uint64_t size) {
  if (limits_.max_bytes == 0) return trim_by_age();
  while (true) {
    TFS_TRY(trim_to(limits_.max_bytes - std::min(limits_.max_bytes, size)));
    std::vector<Segment> left = TFS_TRY(dir_.segments());
    // Two are needed however large: readers hold the one in which they are and the one before.
    if (left.size() < 3 || sum_of(left) + size <= limits_.max_bytes) break;
    std::string holder;
    TFS_TRY(first_held(left, holder));
    TFS_TRY(pause("the spool is full, and the reader " + holder + " holds its oldest segment: waiting for it"));
  }
  went_on();
  return trim_by_age();
}

Status Room::trim_to(uint64_t bytes) {
  TrimLock lock = TFS_TRY(TrimLock::take(dir_));
  while (sum_of(TFS_TRY(dir_.segments())) > bytes) {
    std::optional<Oldest> next = TFS_TRY(oldest());
    if (!next || next->is_held) return {};
    TFS_TRY(remove(next->segment));
  }
  return {};
}

Status Room::trim_by_age() {
  if (limits_.max_age_ms == 0) return {};
  TrimLock lock = TFS_TRY(TrimLock::take(dir_));
  while (true) {
    std::optional<Oldest> next = TFS_TRY(oldest());
    if (!next || next->is_held) return {};
    int64_t age_ms = (sys::wall_time().sec - next->segment.modified_sec) * 1000;
    if (age_ms < static_cast<int64_t>(limits_.max_age_ms)) return {};
    TFS_TRY(remove(next->segment));
  }
}

Status Room::after_full(const Error& why) {
  if (limits_.drops) {
    TrimLock lock = TFS_TRY(TrimLock::take(dir_));
    std::optional<Oldest> next = TFS_TRY(oldest());
    if (next && !next->is_held) {
      uint64_t before = free_bytes(dir_.fd());
      TFS_TRY(remove(next->segment));
      sys::warn("the disk is full: dropped the oldest segment " + dir_.shown(to_text(next->segment.name)));
      // Where a reader still has it open nothing is won, and dropping the next one would not help either.
      if (free_bytes(dir_.fd()) > before) return {};
    }
  }
  return pause(why.message() + ": waiting for room; the input waits as well");
}

// Until a reader has stored its place, or was dropped, or the pause is over. The first time it returns at once, for what happened
// between the caller's look and the beginning of the watch was not seen.
Status Room::pause(const std::string& why) {
  if (!is_waiting_) sys::say(why);
  is_waiting_ = true;
  if (!watch_.is_open()) {
    watch_ = sys::Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    std::string own = "/proc/self/fd/";
    ::inotify_add_watch(watch_.get(), (own + std::to_string(dir_.readers_fd())).c_str(), IN_MODIFY | IN_DELETE);
    ::inotify_add_watch(watch_.get(), (own + std::to_string(dir_.fd()) + "/" + kOutputFile).c_str(), IN_MODIFY | IN_DELETE_SELF);
    if (watch_.is_open()) return {};
  }
  pollfd fds[] = {{watch_.get(), POLLIN, 0}, {limits_.stop != nullptr ? limits_.stop->event() : -1, POLLIN, 0}};
  ::poll(fds, 2, kPauseMs);
  if (limits_.stop != nullptr && limits_.stop->is_set()) return truncated("stopped while it waited for room");
  std::byte events[4096];
  while (watch_.is_open() && ::read(watch_.get(), events, sizeof events) > 0) continue;
  return {};
}

void Room::went_on() {
  if (is_waiting_) sys::say("there is room again: going on");
  is_waiting_ = false;
  watch_.reset();
}

}  // namespace tfs::spool
