#include "lib/source/source.h"

#include <sys/wait.h>

#include "lib/base/escape.h"
#include "lib/source/words.h"
#include "lib/sys/io.h"
#include "lib/sys/process.h"

namespace tfs::source {
namespace {

constexpr int kGraceMs = 5000;   // for a command to end once its output is closed
constexpr int kPartingMs = 200;  // once we want no more of it

}  // namespace

Source::Source(Settings settings)
    : settings_(std::move(settings)),
      backoff_(settings_.least_pause_ms, settings_.most_pause_ms,
               static_cast<uint64_t>(sys::own_pid()) << 32 ^ static_cast<uint64_t>(sys::monotonic_ms())) {}

Status Source::start(const std::optional<format::Position>& position) {
  stop();
  std::string text = position ? to_text(*position) : std::string(kNoPosition);
  child_.emplace(TFS_TRY(Child::start(substitute(settings_.command, text), {.has_input = settings_.has_input})));
  return {};
}

Decision Source::finish(StreamEnd end, bool has_progressed) {
  if (has_progressed) backoff_.progressed();
  std::optional<int> status;
  if (end != StreamEnd::kSilent) status = child_->wait(end == StreamEnd::kClean ? kPartingMs : kGraceMs);
  stop();
  Decision decision = decide(end, status, settings_.command[0]);
  if (decision.what == Decision::What::kAgain) decision.pause_ms = backoff_.next_ms();
  return decision;
}

// 2 and 3 are for a person (tfs(7)): wrong usage, and a position that the other side cannot go on from. All else may be the
// connection: 4, and 0 without END, which is how socat and nc end, 255 of ssh, a signal.
Decision decide(StreamEnd end, std::optional<int> wait_status, const std::string& command) {
  if (end == StreamEnd::kClean) return {};
  std::string what = escape(command) + ": ";
  if (end == StreamEnd::kSilent) what += "nothing came for too long";
  else what += wait_status ? "the stream broke off (" + status_text(*wait_status) + ")" : "the stream broke off";
  bool has_exited = wait_status && WIFEXITED(*wait_status);
  if (has_exited && WEXITSTATUS(*wait_status) == 2)
    return {Decision::What::kGiveUp, 0, usage_error(what + ": that is wrong usage")};
  if (has_exited && WEXITSTATUS(*wait_status) == 3) {
    return {Decision::What::kGiveUp, 0, mismatch(what + ": it cannot go on from the position held")};
  }
  return {Decision::What::kAgain, 0, truncated(what)};
}

}  // namespace tfs::source
