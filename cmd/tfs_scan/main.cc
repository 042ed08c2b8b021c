// tfs_scan: asks the tfs_journal behind a mount to describe its store in the stream, or to put wanted content there.
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "lib/base/escape.h"
#include "lib/cli/main_guard.h"
#include "lib/cli/options.h"
#include "lib/control/mount.h"
#include "lib/format/rel_path.h"
#include "lib/source/child.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs {
namespace {

constexpr std::chrono::milliseconds kLongestPause(50);  // between two looks at a scan

struct ScanOptions {
  std::string mount;
  std::vector<std::string> paths;
  std::vector<std::string> command;  // behind "--"
  uint32_t mode = control::kByHash;
  uint64_t rate = 0;
  bool serves_wants = false, asks_status = false, is_json = false, waits = true;
  bool is_done = false;
};

Status parse_options(int argc, char** argv, ScanOptions& options) {
  auto choose = [&options](uint32_t mode) {
    return [&options, mode](std::string_view) -> Status {
      options.mode = mode;
      return {};
    };
  };
  cli::Usage usage{
      "tfs_scan [options] MNT [PATH...]\n       tfs_scan --wants MNT [-- COMMAND [ARG...]]\n       tfs_scan --status MNT",
      "Makes the tfs_journal behind MNT describe its store, or what is at and below each\n"
      "PATH in it, in the stream, so that mirrors become exact and can prove it.",
      {
          {"--hash", 0, "", "blocks of files as hashes; mirrors ask for what differs (so by default)", choose(control::kByHash)},
          {"--data", 0, "", "blocks of files as content", choose(control::kByData)},
          {"--quick", 0, "", "no blocks: mirrors ask for files whose size or mtime differs", choose(control::kQuick)},
          {"--rate", 0, "BYTES", "read no more than this in a second; \"max\": do not give way to programs either",
           [&](std::string_view text) -> Status {
             if (text == "max") return options.rate = control::kFullSpeed, Status();
             options.rate = TFS_TRY(cli::parse_bytes(text));
             return {};
           }},
          {"--no-wait", 0, "", "return as soon as the scan has begun", cli::set_flag(options.waits, false)},
          {"--wants", 0, "", "read wants of a mirror on standard input, and have them answered",
           cli::set_flag(options.serves_wants)},
          {"--status", 0, "", "print where the stream is and what the scan does", cli::set_flag(options.asks_status)},
          {"--json", 0, "", "the same as one JSON object", cli::set_flag(options.is_json)},
      },
      1,
      SIZE_MAX,
      true};
  cli::Parsed parsed = TFS_TRY(cli::parse(argc, argv, usage));
  options.is_done = parsed.is_done;
  if (parsed.is_done) return {};
  options.mount = parsed.operands[0];
  options.command = parsed.command;
  if (!options.command.empty() && !options.serves_wants) return usage_error("a command goes with --wants");
  options.paths.assign(parsed.operands.begin() + 1, parsed.operands.end());
  return {};
}

Error given_up(const control::ScanResult& result) {
  std::string why = result.course == control::kGivenUp ? result.why : "tfs_journal was started anew";
  return Error{Kind::kSystem, 0, "scan.main.given_up", "the scan was given up: " + why};
}

Status follow(int fd, const ScanOptions& options, uint64_t scan) {
  bool shows = ::isatty(STDERR_FILENO);
  auto begin = std::chrono::steady_clock::now();
  control::ScanResult result;
  while (true) {
    if (shows) {
      control::Status status = TFS_TRY(control::ask_status(fd, options.mount));
      std::fprintf(stderr, "\r%llu names, %llu MiB described", static_cast<unsigned long long>(status.scan_names),
                   static_cast<unsigned long long>(status.scan_bytes >> 20));
    }
    result = TFS_TRY(control::ask_scan(fd, options.mount, scan));
    if (result.course != control::kRuns) break;
    // A small part of what it has taken: who waits for a short scan is not told late.
    auto part = (std::chrono::steady_clock::now() - begin) / 16;
    std::this_thread::sleep_for(std::clamp<std::chrono::nanoseconds>(part, std::chrono::milliseconds(1), kLongestPause));
  }
  if (shows) std::fputc('\n', stderr);
  return result.course == control::kEnded ? Status() : given_up(result);
}

// The name of the scan.
Result<uint64_t> start_scan(int fd, const ScanOptions& options, const std::string& path, uint32_t mode) {
  if (!format::is_rel_path(path)) return usage_error(escape(path) + " is no path relative to the mount");
  auto request = std::make_unique<control::ScanRequest>();
  if (path.size() >= sizeof request->path) return usage_error("the path is too long: " + escape(path));
  std::memcpy(request->path, path.c_str(), path.size() + 1);
  request->mode = mode;
  request->bytes_per_second = options.rate;
  if (::ioctl(fd, control::kStartScan, request.get()) != 0) return control::refused(options.mount, errno);
  return request->scan;
}

Status scan(int fd, const ScanOptions& options, const std::string& path) {
  Result<uint64_t> scan = start_scan(fd, options, path, options.mode);
  for (bool is_said = false; !scan && scan.error().op == control::kBusy && options.waits;
       scan = start_scan(fd, options, path, options.mode)) {
    if (!std::exchange(is_said, true)) sys::say(scan.error().message() + ": waiting for its end");
    std::this_thread::sleep_for(kLongestPause);
  }
  if (!scan) return std::move(scan).error();
  return options.waits ? follow(fd, options, *scan) : Status();
}

// Lines of a mirror: "ID OFFSET LENGTH PATH" wants a stretch of a file, "scan PATH" a description; paths are escaped.
class Answers {
 public:
  explicit Answers(const ScanOptions& options) : options_(options) {}

  // To the end of the input and the last scan that it asked for, or, with `end` (-1: none), to the end of either. A scan waits while
  // another one runs; wants do not wait for it. One that is given up is tried again, after a while, as long as there is somebody to ask.
  Status serve(int input, int end) {
    std::string left;
    while (true) {
      TFS_TRY(follow_scan(input >= 0));
      TFS_TRY(start_scan_when_due());
      if (input < 0 && scans_.empty() && !running_) return {};
      pollfd ready[] = {{input, POLLIN, 0}, {end, POLLIN, 0}};
      int pause = !scans_.empty() ? kScanPauseMs : running_ ? static_cast<int>(kLongestPause.count()) : -1;
      if (::poll(ready, 2, pause) == 0) continue;
      if (ready[1].revents != 0) return {};
      if (ready[0].revents == 0) continue;
      char buffer[65536];
      size_t n = TFS_TRY(sys::read_some("scan.wants.read", input, std::as_writable_bytes(std::span(buffer))));
      if (n == 0 && end >= 0) return {};
      if (n == 0) input = -1;
      left.append(buffer, n);
      size_t begin = 0;
      for (size_t stop; (stop = left.find('\n', begin)) != left.npos; begin = stop + 1)
        TFS_TRY(take(left.substr(begin, stop - begin)));
      left.erase(0, begin);
      if (left.size() > kLongestLine) return usage_error("not a want: a line without an end");
    }
  }

 private:
  static constexpr int kScanPauseMs = 10;
  static constexpr std::chrono::milliseconds kFirstRest{200}, kLongestRest{60'000};
  static constexpr size_t kLongestLine = size_t{1} << 20;

  Status take(const std::string& line) {
    for (auto [word, mode] : {std::pair("scan ", options_.mode), std::pair("scan-data ", uint32_t{control::kByData})}) {
      if (!line.starts_with(word)) continue;
      Wanted scan{TFS_TRY(unescape(std::string_view(line).substr(std::strlen(word)))), mode};
      if (std::ranges::find(scans_, scan) == scans_.end()) scans_.push_back(std::move(scan));
      return {};
    }
    auto want = std::make_unique<control::WantRequest>();
    unsigned long long id = 0, offset = 0, length = 0;
    int at = 0;
    // One space each: a path may begin with more.
    if (std::sscanf(line.c_str(), "%llu %llu %llu%n", &id, &offset, &length, &at) != 3 || line[static_cast<size_t>(at)] != ' ') {
      return usage_error("not a want: " + escape(line));
    }
    std::string path = TFS_TRY(unescape(std::string_view(line).substr(static_cast<size_t>(at) + 1)));
    want->id = id;
    want->offset = offset;
    want->length = length;
    if (path.size() < sizeof want->path) std::memcpy(want->path, path.c_str(), path.size() + 1);
    sys::Fd mount = TFS_TRY(control::open_mount(options_.mount));
    if (::ioctl(mount.get(), control::kWant, want.get()) != 0 && errno != ENOENT && errno != ESTALE)
      return control::refused(options_.mount, errno);
    return {};
  }

  // Path and mode.
  using Wanted = std::pair<std::string, uint32_t>;

  Status follow_scan(bool may_try_again) {
    if (!running_) return {};
    Result<sys::Fd> mount = control::open_mount(options_.mount);
    Result<control::ScanResult> result =
        mount ? control::ask_scan(mount->get(), options_.mount, running_->name) : std::move(mount).error();
    if (!result) {  // tfs_journal has ended: how, the stream says
      running_.reset();
      return {};
    }
    if (result->course == control::kRuns) return {};
    if (result->course == control::kEnded) {
      pause_ = kFirstRest;
    } else {
      Error why = given_up(*result);
      if (!may_try_again) return why;
      sys::say(why.message() + ": trying again in " + std::to_string(pause_.count()) + " ms");
      not_before_ = std::chrono::steady_clock::now() + pause_;
      pause_ = std::min(pause_ * 2, kLongestRest);
      if (std::ranges::find(scans_, running_->wanted) == scans_.end()) scans_.push_front(running_->wanted);
    }
    running_.reset();
    return {};
  }

  Status start_scan_when_due() {
    if (running_ || scans_.empty() || std::chrono::steady_clock::now() < not_before_) return {};
    sys::Fd mount = TFS_TRY(control::open_mount(options_.mount));
    Result<uint64_t> name = start_scan(mount.get(), options_, scans_.front().first, scans_.front().second);
    if (!name && name.error().op == control::kBusy) return {};
    running_ = {TFS_TRY(std::move(name)), std::move(scans_.front())};
    scans_.pop_front();
    return {};
  }

  const ScanOptions& options_;
  std::deque<Wanted> scans_;  // those that wait for their turn
  struct Running {
    uint64_t name;
    Wanted wanted;
  };
  std::optional<Running> running_;
  std::chrono::milliseconds pause_ = kFirstRest;  // before what was given up is tried again
  std::chrono::steady_clock::time_point not_before_{};
};

// What the end of the command means to those who read our status: the same.
Status command_status(const std::string& command, int status) {
  std::string what = escape(command) + ": " + source::status_text(status);
  switch (WIFEXITED(status) ? WEXITSTATUS(status) : -1) {
    case 0: return {};
    case cli::kUsageCode: return usage_error(what);
    case cli::kNeedsScan: return mismatch(what);
    case cli::kBrokeOff: return truncated(what);
    default: return Error{Kind::kSystem, 0, "scan.command.end", what};
  }
}

// The command writes the stream to our standard output, while wants are answered beside it: one connection for both.
Status serve_beside_command(const ScanOptions& options) {
  source::Child command = TFS_TRY(source::Child::start(options.command, {.has_output = false}));
  TFS_TRY(Answers(options).serve(STDIN_FILENO, command.process()));
  std::optional<int> status = command.wait(0);
  return status ? command_status(options.command[0], *status) : Status();  // it still runs: the mirror has gone
}

Status run(int argc, char** argv) {
  ScanOptions options;
  TFS_TRY(parse_options(argc, argv, options));
  if (options.is_done) return {};
  sys::Fd mount = TFS_TRY(control::open_mount(options.mount));
  Result<control::Status> asked = control::ask_status(mount.get(), options.mount);
  // A mirror asks again and again, also while tfs_journal is started anew.
  if (!asked && options.serves_wants && asked.error().kind == Kind::kUsage)
    return Error{Kind::kSystem, 0, "scan.main.wants", asked.error().message()};
  control::Status status = TFS_TRY(std::move(asked));
  if (options.asks_status) {
    std::fputs(TFS_TRY(control::status_text(mount.get(), options.mount, status, options.is_json)).c_str(), stdout);
    return {};
  }
  if (options.serves_wants) {
    mount.reset();
    return options.command.empty() ? Answers(options).serve(STDIN_FILENO, -1) : serve_beside_command(options);
  }
  if (status.is_lost) return Error{Kind::kSystem, 0, "scan.main.lost", "nobody reads the stream of " + escape(options.mount)};
  if (options.paths.empty()) return scan(mount.get(), options, ".");
  for (const std::string& path : options.paths) TFS_TRY(scan(mount.get(), options, path));
  return {};
}

}  // namespace
}  // namespace tfs

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_scan", tfs::run, argc, argv); }
