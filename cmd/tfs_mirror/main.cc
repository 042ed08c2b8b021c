// tfs_mirror: opens the directory and its state, and replays the stream into it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "cmd/tfs_mirror/options.h"
#include "lib/apply/feed.h"
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
  return apply::feed(STDIN_FILENO, replay, 0).status;
}

// The mirror, open for one stream after the other.
class Mirror {
 public:
  Mirror(sys::Fd root, sys::Fd wants, apply::State& state, const MirrorOptions& options)
      : root_(root.get()), state_(state), options_(options), tree_(std::move(root), state), wants_(std::move(wants)),
        scan_(tree_, state, options.policy, wants_, options.replay.only_checks), applier_(tree_, state, options.policy, scan_) {}

  // One stream, from its HELLO to its end, in a thread that is confined to the mirror; ours is not, for it starts the commands.
  apply::FeedResult play(int fd) {
    apply::FeedResult result;
    std::thread([&] {
      Result<bool> confined = apply::confine_to(root_, state_.directory_fd());
      if (!confined) {
        result.status = std::move(confined).error();
        return;
      }
      apply::Replay replay(&state_, &applier_, &scan_, options_.replay, nullptr);
      result = apply::feed(fd, replay, options_.silence_ms);
    }).join();
    return result;
  }

 private:
  const int root_;
  apply::State& state_;
  const MirrorOptions& options_;
  apply::Tree tree_;
  apply::Wants wants_;
  apply::Scan scan_;
  apply::Applier applier_;
};

// "-" is standard output; a FIFO is opened without waiting for its reader.
Result<sys::Fd> open_wants(const std::string& path) {
  if (path.empty()) return sys::Fd();
  if (path == "-") return sys::Fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  return sys::open_at("mirror.wants.open", AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0600);
}

source::StreamEnd end_of(const apply::FeedResult& result) {
  if (result.status) return source::StreamEnd::kClean;
  return result.is_silent ? source::StreamEnd::kSilent : source::StreamEnd::kBrokeOff;
}

// Runs the command again and again until the stream has ended in order, or a person is needed.
Status follow_command(Mirror& mirror, const apply::State& state, const MirrorOptions& options) {
  source::Source source({options.command});
  while (true) {
    std::optional<format::Position> position;
    if (state.has_position()) position = state.position();
    TFS_TRY(source.start(position));
    apply::FeedResult result = mirror.play(source.output());
    if (!result.status && result.status.error().kind != Kind::kTruncated) return result.status;
    bool has_progressed = state.has_position() && (!position || *position != state.position());
    source::Decision decision = source.finish(end_of(result), has_progressed);
    if (decision.what == source::Decision::What::kDone) return {};
    if (decision.what == source::Decision::What::kGiveUp) return decision.why;
    sys::say(decision.why.message() + ": trying again in " + std::to_string(decision.pause_ms) + " ms");
    std::this_thread::sleep_for(std::chrono::milliseconds(decision.pause_ms));
  }
}

// Ctrl-C reaches every stage of a pipeline, and the first then ends the stream in order: it is waited for, but not for ever.
void wait_for_end_on_interrupt() {
  constexpr unsigned kPatience = 10;
  ::signal(SIGALRM, [](int) { ::_exit(cli::kBrokeOff); });
  ::signal(SIGINT, [](int) {
    ::signal(SIGINT, [](int) { ::_exit(cli::kBrokeOff); });
    ::alarm(kPatience);
  });
}

Status run(int argc, char** argv) {
  MirrorOptions options;
  TFS_TRY(parse_options(argc, argv, options));
  if (options.is_done) return {};
  sys::Fd root = TFS_TRY(sys::open_at("mirror.main.open", AT_FDCWD, options.dir.c_str(), O_RDONLY | O_DIRECTORY));
  if (options.asks_position) {
    Result<apply::State> state = apply::State::inspect(options.dir, root.get());
    if (!state || !state->has_position()) return mismatch(escape(options.dir) + " has no position: it is not a valid mirror");
    std::puts(to_text(state->position()).c_str());
    return {};
  }
  if (options.command.empty() && ::isatty(STDIN_FILENO)) return usage_error("standard input is a terminal: the stream comes from a pipe or a file");
  options.replay.dir_is_empty = is_empty(options.dir);
  if (options.is_dry_run) {
    Result<apply::State> state = apply::State::inspect(options.dir, root.get());
    if (!state && state.error().sys_errno != ENOENT) return std::move(state).error();
    return dry_run(state ? &*state : nullptr, options.replay);
  }
  apply::State state = TFS_TRY(apply::State::open(options.dir, root.get()));
  TFS_TRY(apply::probe(state.directory_fd(), options.policy));
  sys::Fd wants = TFS_TRY(open_wants(options.wants));
  Mirror mirror(std::move(root), std::move(wants), state, options);
  if (!options.command.empty()) return follow_command(mirror, state, options);
  wait_for_end_on_interrupt();
  return mirror.play(STDIN_FILENO).status;
}

}  // namespace
}  // namespace tfs

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_mirror", tfs::run, argc, argv); }
