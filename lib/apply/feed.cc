#include "lib/apply/feed.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <thread>

#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::apply {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause(100), kLongestPause(5000);

// Whether an error may go away by itself or by a person's hand, without a new start of the program.
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

// Stays at a frame that cannot be applied until it can: no frame is ever skipped.
Status persist(Replay& replay, Status status) {
  milliseconds pause = kFirstPause;
  std::string said;
  while (!status && may_pass(status.error())) {
    std::string what = status.error().message();
    if (what != said) sys::say(what + ": waiting, and trying again");
    said = what;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
    status = replay.resume();
  }
  if (status && !said.empty()) sys::say("going on");
  return status;
}

// False where nothing came in time.
Result<bool> wait_for_input(int fd, uint64_t silence_ms) {
  if (silence_ms == 0) return true;
  pollfd input{fd, POLLIN, 0};
  int n;
  do {
    n = ::poll(&input, 1, static_cast<int>(std::min<uint64_t>(silence_ms, INT_MAX)));
  } while (n < 0 && errno == EINTR);
  if (n < 0) return system_error("apply.feed.poll", errno, "unable to wait for the stream");
  return n > 0;
}

Status pump(int fd, Replay& replay, uint64_t silence_ms, bool& is_silent) {
  while (!replay.is_done()) {
    if (!TFS_TRY(wait_for_input(fd, silence_ms))) {
      is_silent = true;
      return truncated("nothing has come for " + std::to_string(silence_ms / 1000) + " s, no heartbeat either");
    }
    size_t n = TFS_TRY(sys::read_some("apply.feed.read", fd, replay.space()));
    if (n == 0) break;
    TFS_TRY(persist(replay, replay.filled(n)));
  }
  return replay.finish();
}

}  // namespace

FeedResult feed(int fd, Replay& replay, uint64_t silence_ms) {
  FeedResult result;
  result.status = pump(fd, replay, silence_ms, result.is_silent);
  return result;
}

}  // namespace tfs::apply
