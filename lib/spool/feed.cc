#include "lib/spool/feed.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "lib/sys/io.h"

namespace tfs::spool {
namespace {

constexpr int kShortPauseMs = 5;  // for the rest of the input's first bytes: a pipe does not tell when there are more

// Until the input is readable, or stop is set, or `most_ms` (-1: without end) are over.
Status wait_for(const Intake& in, const Stop& stop, int64_t most_ms, bool is_short) {
  pollfd fds[] = {{is_short ? -1 : in.fd(), POLLIN, 0}, {stop.event(), POLLIN, 0}};
  int timeout = is_short ? kShortPauseMs : static_cast<int>(std::min<int64_t>(most_ms, 1 << 30));
  if (::poll(fds, 2, timeout) >= 0 || errno == EINTR) return {};
  return system_error("spool.feed.poll", errno, "unable to wait for the input");
}

}  // namespace

Result<FeedEnd> feed(Writer& writer, Intake& in, Beginning beginning, const FeedLimits& limits, const Stop& stop) {
  int64_t came = sys::monotonic_ms(), looked = came;
  bool is_begun = false;
  while (!stop.is_set()) {
    Writer::Step step = TFS_TRY(is_begun ? writer.step(in) : writer.begin(in, beginning));
    if (step == Writer::Step::kEnd) return TFS_TRY(writer.finish_input()) ? FeedEnd::kClean : FeedEnd::kBrokeOff;
    if (step == Writer::Step::kTook) {
      is_begun = true;
      came = 0;
      continue;
    }
    int64_t now = sys::monotonic_ms(), most = -1;
    if (came == 0) came = now;
    if (limits.age_check_ms > 0) {
      auto every = static_cast<int64_t>(limits.age_check_ms);
      if (now - looked >= every) TFS_TRY(writer.trim_by_age());
      if (now - looked >= every) looked = now;
      most = every;
    }
    if (limits.timeout_ms > 0) {
      int64_t left = came + static_cast<int64_t>(limits.timeout_ms) - now;
      if (left <= 0) return FeedEnd::kSilent;
      most = most < 0 ? left : std::min(most, left);
    }
    TFS_TRY(wait_for(in, stop, most, step == Writer::Step::kTooLittle));
  }
  return FeedEnd::kStopped;
}

}  // namespace tfs::spool
