#include "cmd/tfs_buffer/spooling.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <type_traits>

#include "lib/cli/main_guard.h"
#include "lib/source/source.h"
#include "lib/spool/feed.h"
#include "lib/spool/file_io.h"
#include "lib/spool/output.h"
#include "lib/sys/message.h"
#include "lib/sys/process.h"

namespace tfs::buffer {
namespace {

// What a signal handler can reach. In a pipeline Ctrl-C is for all stages: the source then writes what it still has, and END, and so
// the first signal does not stop the taking of standard input. A command is ours to stop, and the first signal does that.
spool::Stop* stop_on_signal = nullptr;
volatile std::sig_atomic_t signals_seen = 0;

void on_signal(int) {
  constexpr std::string_view goes_on = "tfs_buffer: going on until standard input ends; a second signal stops at once\n";
  signals_seen = signals_seen + 1;
  if (signals_seen > 1) ::_exit(cli::kFailed);
  if (stop_on_signal != nullptr) return stop_on_signal->set();
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, goes_on.data(), goes_on.size());
}

void catch_signals(spool::Stop* stop) {
  stop_on_signal = stop;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGHUP, SIG_IGN);  // what it means is for the source to say
}

std::string where(const spool::Writer& writer) {
  return writer.has_position() ? "behind " + to_text(writer.position()) : "before the first frame";
}

Status outcome(spool::FeedEnd end, const spool::Writer& writer) {
  switch (end) {
    case spool::FeedEnd::kClean: return {};
    case spool::FeedEnd::kBrokeOff: return truncated("the input broke off " + where(writer) + " (no END)");
    case spool::FeedEnd::kSilent: return truncated("nothing came for too long: the input is given up " + where(writer));
    case spool::FeedEnd::kStopped:
      return writer.end().mark == spool::Mark::kDone ? Status() : truncated("stopped " + where(writer));
  }
  return {};
}

class Spooling {
 public:
  explicit Spooling(Options& options) : options_(options) {}

  Status run() {
    TFS_TRY(stop_.open());
    catch_signals(options_.command.empty() ? nullptr : &stop_);
    options_.settings.limits.stop = &stop_;
    dir_.emplace(TFS_TRY(with_room([this] { return spool::Dir::make(options_.path); })));
    writer_ = TFS_TRY(with_room([this] { return spool::Writer::open(*dir_, options_.settings); }));
    TFS_TRY(start_output());
    options_.ready.announce();
    Status status = options_.command.empty() ? take_input() : take_from_command();
    Status closed = writer_->close();
    Status given_out = output_ ? output_->finish() : Status();
    // What stopped the output stopped the rest.
    if (!given_out) return given_out;
    return status ? closed : status;
  }

 private:
  // A disk that is full is waited for from the first file on.
  template <class F>
  std::invoke_result_t<F> with_room(F make) {
    for (bool is_first = true;; is_first = false) {
      std::invoke_result_t<F> made = make();
      if (made || !is_full(made.error())) return made;
      if (is_first) sys::say(made.error().message() + ": waiting for room");
      if (pause(500)) return truncated("stopped while there was no room for the spool");
    }
  }

  Status start_output() {
    if (!options_.has_output) return spool::drop_output(*dir_);
    spool::Registration registration = TFS_TRY(spool::Registration::open_output(*dir_));
    spool::Reader reader = TFS_TRY(first_reader(registration.before()));
    output_.emplace(*dir_, std::move(reader), std::move(registration), STDOUT_FILENO, [this] { stop_.set(); });
    return output_->start();
  }

  Result<spool::Reader> first_reader(const std::optional<spool::PlaceMark>& before) {
    switch (options_.from) {
      case Options::From::kDefault: return spool::output_start(*dir_, *writer_, before);
      case Options::From::kOldest: return spool::Reader::from_segment(*dir_);
      case Options::From::kNew: return spool::Reader::from_place(*dir_, writer_->end().place);
      case Options::From::kPosition: return spool::Reader::from_position(*dir_, options_.position);
    }
    return spool::Reader::from_segment(*dir_);
  }

  spool::FeedLimits feed_limits() const {
    uint64_t age = options_.settings.limits.max_age_ms;
    return {options_.timeout_ms, age == 0 ? 0 : std::clamp<uint64_t>(age / 10, 100, 60'000)};
  }

  Status take_input() {
    spool::Intake in(STDIN_FILENO);
    spool::FeedEnd end = TFS_TRY(feed(*writer_, in, spool::Beginning::kAnywhere, feed_limits(), stop_));
    if (end == spool::FeedEnd::kBrokeOff && in.taken() == 0) return truncated("the input is empty");
    return outcome(end, *writer_);
  }

  Status take_from_command() {
    source::Settings settings{options_.command, std::min<uint64_t>(500, options_.most_pause_ms), options_.most_pause_ms};
    source::Source source(settings);
    while (true) {
      uint64_t before = writer_->frames_taken();
      TFS_TRY(source.start(writer_->has_position() ? std::optional(writer_->position()) : std::nullopt));
      spool::Intake in(source.output());
      spool::FeedEnd end = TFS_TRY(feed(*writer_, in, spool::Beginning::kHello, feed_limits(), stop_));
      if (end == spool::FeedEnd::kStopped) return outcome(end, *writer_);
      source::Decision decision = source.finish(stream_end(end), writer_->frames_taken() > before);
      if (decision.what == source::Decision::What::kDone) return {};
      if (decision.what == source::Decision::What::kGiveUp) return decision.why;
      sys::say(decision.why.message() + " " + where(*writer_) + ": trying again in " + std::to_string(decision.pause_ms) + " ms");
      if (pause(decision.pause_ms)) return outcome(spool::FeedEnd::kStopped, *writer_);
    }
  }

  static source::StreamEnd stream_end(spool::FeedEnd end) {
    if (end == spool::FeedEnd::kClean) return source::StreamEnd::kClean;
    return end == spool::FeedEnd::kSilent ? source::StreamEnd::kSilent : source::StreamEnd::kBrokeOff;
  }

  // True where it was stopped.
  bool pause(uint64_t ms) {
    pollfd p{stop_.event(), POLLIN, 0};
    ::poll(&p, 1, static_cast<int>(ms));
    return stop_.is_set();
  }

  Options& options_;
  spool::Stop stop_;
  std::optional<spool::Dir> dir_;
  std::unique_ptr<spool::Writer> writer_;
  std::optional<spool::Output> output_;
};

}  // namespace

Status spool_input(Options& options) {
  if (options.command.empty() && sys::is_terminal(STDIN_FILENO)) {
    return usage_error("standard input is a terminal: give it a stream, or a command behind -- (see --help)");
  }
  if (options.has_output && sys::is_terminal(STDOUT_FILENO)) {
    return usage_error("the stream is not for a terminal: send it on, or use --no-output");
  }
  return Spooling(options).run();
}

}  // namespace tfs::buffer
