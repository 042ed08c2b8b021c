#include "lib/apply/feed.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "lib/apply/patience.h"
#include "lib/sys/io.h"

namespace tfs::apply {
namespace {

// Whether it is worth trying again.
bool may_pass(const Error& error) {
  if (error.kind != Kind::kSystem) return false;
  switch (error.sys_errno) {
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EROFS:
    case EACCES:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EBUSY:
    case ETXTBSY: return true;
    default: return false;
  }
}

// Waits so long for a descriptor to become readable, for `stop`, or for the end of a process while there is nothing to read.
enum class Wake { kReady, kTimeout, kStop, kProcessEnded };
Result<Wake> wait_for(int fd, int stop, int process, int64_t timeout_ms) {
  pollfd polled[] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}, {process, POLLIN, 0}};
  int n;
  do {
    n = ::poll(polled, 3, static_cast<int>(std::clamp<int64_t>(timeout_ms, -1, INT_MAX)));
  } while (n < 0 && errno == EINTR);
  if (n < 0) return system_error("apply.feed.poll", errno, "unable to wait for the stream");
  if (polled[1].revents != 0) return Wake::kStop;
  if (polled[0].revents == 0 && polled[2].revents != 0) return Wake::kProcessEnded;
  return n == 0 ? Wake::kTimeout : Wake::kReady;
}

class Feed {
 public:
  Feed(int fd, int stop, int process, Replay& replay, uint64_t silence_ms)
      : fd_(fd), stop_(stop), process_(process), replay_(replay), silence_ms_(silence_ms) {}

  FeedResult run() {
    Status status = pump();
    return {std::move(status), how_};
  }

 private:
  Status pump() {
    while (!replay_.is_done()) {
      switch (TFS_TRY(wait_for(fd_, stop_, process_, silence_ms_ == 0 ? -1 : static_cast<int64_t>(silence_ms_)))) {
        case Wake::kStop: return stopped();
        case Wake::kTimeout:
          how_ = FeedEnd::kSilent;
          return truncated("nothing has come for " + std::to_string(silence_ms_ / 1000) + " s, no heartbeat either");
        case Wake::kProcessEnded: return replay_.finish();
        case Wake::kReady: break;
      }
      size_t n = TFS_TRY(sys::read_some("apply.feed.read", fd_, replay_.space()));
      if (n == 0) break;
      TFS_TRY(persist(replay_.filled(n)));
      replay_.note_heard();
    }
    return replay_.finish();
  }

  // Stays at a frame that cannot be applied until it can: no frame is ever skipped.
  Status persist(Status status) {
    Patience patience(stop_);
    while (!status && may_pass(status.error())) {
      std::string why = status.error().message();
      replay_.note_stuck(why);
      if (!TFS_TRY(patience.wait(why))) return stopped();
      status = replay_.resume();
    }
    if (status) patience.end();
    return status;
  }

  Status stopped() {
    how_ = FeedEnd::kStopped;
    return truncated("stopped by a signal");
  }

  const int fd_, stop_, process_;
  Replay& replay_;
  const uint64_t silence_ms_;
  FeedEnd how_ = FeedEnd::kAsItSays;
};

}  // namespace

FeedResult feed(int fd, int stop, int process, Replay& replay, uint64_t silence_ms) {
  return Feed(fd, stop, process, replay, silence_ms).run();
}

}  // namespace tfs::apply
