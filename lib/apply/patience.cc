#include "lib/apply/patience.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "lib/sys/message.h"

namespace tfs::apply {

Result<bool> Patience::wait(const std::string& why) {
  if (why != said_) sys::say(why + ": waiting, and trying again");
  said_ = why;
  pollfd stopped{stop_, POLLIN, 0};
  int n;
  do {
    n = ::poll(&stopped, 1, static_cast<int>(pause_ms_));
  } while (n < 0 && errno == EINTR);
  if (n < 0) return system_error("apply.patience.poll", errno, "unable to wait");
  pause_ms_ = std::min(pause_ms_ * 2, kLongestPauseMs);
  return n == 0;
}

void Patience::end() {
  if (!said_.empty()) sys::say("going on");
  said_.clear();
  pause_ms_ = kFirstPauseMs;
}

}  // namespace tfs::apply
