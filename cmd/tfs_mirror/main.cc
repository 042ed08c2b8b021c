// tfs_mirror: opens the directory and its state, and replays the stream into it.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "cmd/tfs_mirror/options.h"
#include "cmd/tfs_mirror/report.h"
#include "cmd/tfs_mirror/upkeep.h"
#include "lib/apply/feed.h"
#include "lib/apply/patience.h"
#include "lib/apply/probe.h"
#include "lib/apply/sandbox.h"
#include "lib/base/escape.h"
#include "lib/cli/main_guard.h"
#include "lib/source/source.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs {
namespace {

bool is_empty(const std::string& dir) {
  std::error_code ignored;
  return std::filesystem::is_empty(dir, ignored);
}

// An ordinary user's mirror may be closed to its owner, as its source is.
Result<sys::Fd> open_root(const std::string& dir) {
  Result<sys::Fd> root = sys::open_at("mirror.main.open", AT_FDCWD, dir.c_str(), O_RDONLY | O_DIRECTORY);
  if (root || root.error().sys_errno != EACCES) return root;
  sys::Fd path(::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat st;
  bool is_own = path.is_open() && ::fstat(path.get(), &st) == 0 && st.st_uid == ::geteuid();
  return is_own ? Result<sys::Fd>(std::move(path)) : std::move(root);
}

Status dry_run(apply::State* state, const apply::ReplayOptions& options) {
  auto tell = [](const format::Frame& frame, const format::Record& record) {
    std::string line(format::name_of(frame.header.type));
    auto add_paths = [&line](const auto& r) {
      if constexpr (requires { r.path; }) line += " " + escape(r.path);
      if constexpr (requires { r.new_path; }) line += " " + escape(r.new_path);
      if constexpr (requires { r.data; }) line += " " + std::to_string(r.data.size()) + " bytes at " + std::to_string(r.offset);
    };
    std::visit(add_paths, record);
    std::printf("%llu %s\n", static_cast<unsigned long long>(frame.header.seq), line.c_str());
  };
  apply::Replay replay(state, nullptr, nullptr, options, tell);
  return apply::feed(STDIN_FILENO, -1, -1, replay, 0).status;
}

// The mirror, open for one stream after the other.
class Mirror {
 public:
  Mirror(sys::Fd root, apply::State& state, const MirrorOptions& options, const apply::TimeRange& times, int stop)
      : root_(root.get()),
        stop_(stop),
        state_(state),
        options_(options),
        tree_(std::move(root), state),
        scan_(tree_, state, options.policy, wants_, options.replay.only_checks, times),
        applier_(tree_, state, options.policy, scan_, must_hold(options, times)),
        upkeep_(state, options.dir, options.metrics, options.sync_ms) {}

  void send_wants_to(sys::Fd out) { wants_.attach(std::move(out)); }

  // One stream, from its HELLO to its end, in a thread that is confined to the mirror; ours is not, for it starts the commands.
  // `process` writes it: -1 where that is not ours to know.
  apply::FeedResult play(int fd, int process) {
    apply::FeedResult result;
    upkeep_.set_input(fd);
    std::thread([&] {
      Result<bool> confined = apply::confine_to(root_, state_.directory_fd());
      if (!confined) {
        result.status = std::move(confined).error();
        return;
      }
      apply::Replay replay(&state_, &applier_, &scan_, options_.replay, nullptr);
      result = apply::feed(fd, stop_, process, replay, options_.silence_ms);
    }).join();
    upkeep_.set_input(-1);
    return result;
  }

 private:
  // What the filesystem cannot hold is an error; but where it is compared or was given up.
  static std::optional<apply::TimeRange> must_hold(const MirrorOptions& options, const apply::TimeRange& times) {
    return options.policy.keeps_times && !options.replay.only_checks ? std::optional(times) : std::nullopt;
  }

  const int root_, stop_;
  apply::State& state_;
  const MirrorOptions& options_;
  apply::Tree tree_;
  apply::Wants wants_;
  apply::Scan scan_;
  apply::Applier applier_;
  Upkeep upkeep_;
};

// "-" is standard output; a FIFO is opened without waiting for its reader.
Result<sys::Fd> open_wants(const std::string& path) {
  if (path.empty()) return sys::Fd();
  if (path == "-") return sys::Fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  return sys::open_at("mirror.wants.open", AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0600);
}

source::StreamEnd end_of(const apply::FeedResult& result) {
  if (result.status) return source::StreamEnd::kClean;
  return result.how == apply::FeedEnd::kSilent ? source::StreamEnd::kSilent : source::StreamEnd::kBrokeOff;
}

// Runs the command again and again until the stream has ended in order, or a person is needed, or we are stopped.
Status follow_command(Mirror& mirror, apply::State& state, const MirrorOptions& options, int stop) {
  source::Settings settings;
  settings.command = options.command;
  settings.has_input = options.bootstraps;
  source::Source source(settings);
  while (true) {
    std::optional<format::Position> position;
    if (state.has_position()) position = state.position();
    TFS_TRY(source.start(position));
    mirror.send_wants_to(source.take_input());
    apply::FeedResult result = mirror.play(source.output(), source.process());
    if (result.how == apply::FeedEnd::kStopped) return result.status;
    if (!result.status && result.status.error().kind != Kind::kTruncated) return result.status;
    bool has_progressed = state.has_position() && (!position || *position != state.position());
    source::Decision decision = source.finish(end_of(result), has_progressed);
    if (decision.what == source::Decision::What::kDone) return {};
    bool starts_over = options.bootstraps && state.has_position() && decision.what == source::Decision::What::kGiveUp &&
                       decision.why.kind == Kind::kMismatch;
    if (starts_over) state.invalidate();  // what it held is gone at the source: from anywhere, then, and a scan
    else if (decision.what == source::Decision::What::kGiveUp) return decision.why;
    sys::say(decision.why.message() + ": trying again in " + std::to_string(decision.pause_ms) + " ms");
    pollfd stopped{stop, POLLIN, 0};
    if (::poll(&stopped, 1, static_cast<int>(decision.pause_ms)) == 1) return truncated("stopped by a signal");
  }
}

// Signals end the frame under way, and then us: what was applied goes to the disk. The way from the handlers to the replay.
int stop_pipe[2] = {-1, -1};

void stop_replay(int) {
  int error = errno;
  apply::State::give_up();
  [[maybe_unused]] ssize_t n = ::write(stop_pipe[1], "", 1);
  errno = error;
}

// Ctrl-C reaches every stage of a pipeline, and the first then ends the stream in order: it is waited for, but not for ever. The second one,
// and any that comes while we stop, has us at once.
Status watch_signals(bool is_last_of_pipeline) {
  if (::pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return system_error("mirror.main.pipe", errno, "unable to make a pipe");
  auto stop = [](int signal) {
    ::signal(signal, SIG_DFL);
    stop_replay(signal);
  };
  for (int signal : {SIGTERM, SIGHUP, SIGALRM}) ::signal(signal, stop);
  if (!is_last_of_pipeline) {
    ::signal(SIGINT, stop);
    return {};
  }
  ::signal(SIGINT, [](int) {
    constexpr unsigned kPatience = 10;
    ::signal(SIGINT, [](int) { ::_exit(cli::kBrokeOff); });
    ::alarm(kPatience);
  });
  return {};
}

// Returns when the mirror is at a position, by its own word: equal to its source, or on the way to it from there.
Status wait_for(const MirrorOptions& options, int root) {
  constexpr auto kPause = std::chrono::milliseconds(10);
  int64_t began = sys::monotonic_ms();
  while (true) {
    Result<apply::State> state = apply::State::inspect(options.dir, root);
    if (!state && state.error().sys_errno != ENOENT) return std::move(state).error();
    if (state && state->is_exact()) {
      format::Position here = state->position();
      if (here.epoch == options.wait->epoch && here.seq >= options.wait->seq) return {};
      if (here.epoch != options.wait->epoch) return mismatch("the mirror is in another epoch: at " + to_text(here));
    }
    if (options.silence_ms != 0 && sys::monotonic_ms() - began >= static_cast<int64_t>(options.silence_ms)) {
      return Error{Kind::kSystem, 0, "mirror.wait.timeout",
                   escape(options.dir) + " has not come to " + to_text(*options.wait) + " in time"};
    }
    std::this_thread::sleep_for(kPause);
  }
}

Status print_status(const apply::State& state, bool is_json) {
  MirrorReport report = report_of(state);
  std::string text = is_json ? to_json(report) : to_text(report);
  std::fputs(text.c_str(), stdout);
  return {};
}

// What only looks at a mirror.
Status look(const MirrorOptions& options, int root) {
  if (options.wait) return wait_for(options, root);
  Result<apply::State> state = apply::State::inspect(options.dir, root);
  bool has_none = !state && state.error().sys_errno == ENOENT;
  if (has_none) return mismatch(escape(options.dir) + " has no position: it is not a valid mirror");
  if (!state) return std::move(state).error();
  if (options.asks_status) return print_status(*state, options.is_json);
  if (!state->has_position()) return mismatch(escape(options.dir) + " has no position: it is not a valid mirror");
  if (!state->is_exact())
    return mismatch(escape(options.dir) + " is at " + to_text(state->position()) + ", but not exact: it needs a scan");
  std::puts(to_text(state->position()).c_str());
  return {};
}

// For room on the disk, as the stream waits for it.
template <typename Attempt>
auto wait_for_room(Attempt attempt) -> decltype(attempt()) {
  apply::Patience patience(stop_pipe[0]);
  auto result = attempt();
  while (!result && is_full(result.error())) {
    if (!TFS_TRY(patience.wait(result.error().message()))) return truncated("stopped by a signal");
    result = attempt();
  }
  if (result) patience.end();
  return result;
}

Status replay(sys::Fd root, const MirrorOptions& options) {
  TFS_TRY(watch_signals(options.command.empty()));
  apply::State state = TFS_TRY(wait_for_room([&] { return apply::State::open(options.dir, root.get()); }));
  apply::TimeRange times = TFS_TRY(wait_for_room([&] { return apply::probe(state.directory_fd(), options.policy); }));
  sys::Fd wants = TFS_TRY(open_wants(options.wants));
  Status status;
  {
    Mirror mirror(std::move(root), state, options, times, stop_pipe[0]);
    mirror.send_wants_to(std::move(wants));
    status =
        options.command.empty() ? mirror.play(STDIN_FILENO, -1).status : follow_command(mirror, state, options, stop_pipe[0]);
  }
  Status closed = state.close();
  if (!closed) sys::warn(closed.error().message());
  return status ? closed : status;
}

Status run(int argc, char** argv) {
  MirrorOptions options;
  TFS_TRY(parse_options(argc, argv, options));
  if (options.is_done) return {};
  sys::Fd root = TFS_TRY(open_root(options.dir));
  if (options.asks_position || options.asks_status || options.wait) return look(options, root.get());
  if (options.command.empty() && ::isatty(STDIN_FILENO))
    return usage_error("standard input is a terminal: the stream comes from a pipe or a file");
  options.replay.dir_is_empty = is_empty(options.dir);
  if (!options.is_dry_run) return replay(std::move(root), options);
  Result<apply::State> state = apply::State::inspect(options.dir, root.get());
  if (!state && state.error().sys_errno != ENOENT) return std::move(state).error();
  return dry_run(state ? &*state : nullptr, options.replay);
}

}  // namespace
}  // namespace tfs

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_mirror", tfs::run, argc, argv); }
