// tfs_scan: asks the tfs_journal behind a mount to describe its store in the stream, or to put wanted content there.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <thread>

#include "lib/base/escape.h"
#include "lib/cli/main_guard.h"
#include "lib/cli/options.h"
#include "lib/control/control.h"
#include "lib/format/position.h"
#include "lib/format/rel_path.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs {
namespace {

struct ScanOptions {
  std::string mount;
  std::vector<std::string> paths;
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
  cli::Usage usage{"tfs_scan [options] MNT [PATH...]\n       tfs_scan --wants MNT\n       tfs_scan --status MNT",
                   "Makes the tfs_journal behind MNT describe its store, or what is at and below each\n"
                   "PATH in it, in the stream, so that mirrors become exact and can prove it.",
                   {
                       {"--hash", 0, "", "blocks of files as hashes; mirrors ask for what differs (so by default)", choose(control::kByHash)},
                       {"--data", 0, "", "blocks of files as content", choose(control::kByData)},
                       {"--quick", 0, "", "no blocks: mirrors ask for files whose size or mtime differs", choose(control::kQuick)},
                       {"--rate", 0, "BYTES", "read no more than this in a second", cli::set_bytes(options.rate)},
                       {"--no-wait", 0, "", "return as soon as the scan has begun", cli::set_flag(options.waits, false)},
                       {"--wants", 0, "", "read wants of a mirror on standard input, and have them answered", cli::set_flag(options.serves_wants)},
                       {"--status", 0, "", "print where the stream is and what the scan does", cli::set_flag(options.asks_status)},
                       {"--json", 0, "", "the same as one JSON object", cli::set_flag(options.is_json)},
                   },
                   1,
                   SIZE_MAX};
  cli::Parsed parsed = TFS_TRY(cli::parse(argc, argv, usage));
  options.is_done = parsed.is_done;
  if (parsed.is_done) return {};
  options.mount = parsed.operands[0];
  options.paths.assign(parsed.operands.begin() + 1, parsed.operands.end());
  return {};
}

Error refused(const std::string& mount, int error) {
  switch (error) {
    case ENOTTY: return usage_error(escape(mount) + " is not the top of a mount of tfs_journal");
    case EPERM: return Error{Kind::kSystem, 0, "scan.mount.ask", "only root and the user of tfs_journal may ask " + escape(mount)};
    case EBUSY: return Error{Kind::kSystem, 0, "scan.mount.ask", "a scan of " + escape(mount) + " is running already"};
    default: return system_error("scan.mount.ask", error, "unable to ask " + escape(mount));
  }
}

Result<control::Status> ask_status(int fd, const std::string& mount) {
  control::Status status{};
  if (::ioctl(fd, control::kGetStatus, &status) != 0) return refused(mount, errno);
  return status;
}

Status print_status(const control::Status& status, bool is_json) {
  format::Position position;
  std::memcpy(position.epoch.bytes.data(), status.epoch, sizeof status.epoch);
  position.seq = status.seq;
  auto number = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  const char* format = is_json ? "{\"position\":\"%s\",\"reader\":%s,\"backlog\":%llu,\"nodes\":%llu,\"scanning\":%s,"
                                 "\"scan-names\":%llu,\"scan-bytes\":%llu}\n"
                               : "position  %s\nreader    %s\nbacklog   %llu bytes\nnodes     %llu\nscanning  %s\n"
                                 "described %llu names, %llu bytes\n";
  auto word = [is_json](bool yes, const char* if_yes, const char* if_no) { return is_json ? (yes ? "true" : "false") : yes ? if_yes : if_no; };
  std::printf(format, to_text(position).c_str(), word(!status.is_lost, "reads", "none"), number(status.backlog),
              number(status.nodes), word(status.is_scanning, "yes", "no"), number(status.scan_names), number(status.scan_bytes));
  return {};
}

Status follow(int fd, const ScanOptions& options, uint64_t scan) {
  bool shows = ::isatty(STDERR_FILENO);
  while (true) {
    control::Status status = TFS_TRY(ask_status(fd, options.mount));
    if (shows) {
      std::fprintf(stderr, "\r%llu names, %llu MiB described", static_cast<unsigned long long>(status.scan_names),
                   static_cast<unsigned long long>(status.scan_bytes >> 20));
    }
    if (!status.is_scanning || status.scan != scan) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  if (shows) std::fputc('\n', stderr);
  return {};
}

Status scan(int fd, const ScanOptions& options, const std::string& path) {
  if (!format::is_rel_path(path)) return usage_error(escape(path) + " is no path relative to the mount");
  auto request = std::make_unique<control::ScanRequest>();
  if (path.size() >= sizeof request->path) return usage_error("the path is too long: " + escape(path));
  std::memcpy(request->path, path.c_str(), path.size() + 1);
  request->mode = options.mode;
  request->bytes_per_second = options.rate;
  if (::ioctl(fd, control::kStartScan, request.get()) != 0) return refused(options.mount, errno);
  return options.waits ? follow(fd, options, request->scan) : Status();
}

// "ID OFFSET LENGTH PATH", the path escaped; and "scan PATH": a mirror that had too many wants asks to be told again.
Status serve_wants(int fd, const ScanOptions& options) {
  std::string line;
  while (std::getline(std::cin, line)) {
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
    if (::ioctl(fd, control::kWant, want.get()) != 0 && errno != ENOENT && errno != ESTALE) return refused(options.mount, errno);
  }
  return {};
}

Status run(int argc, char** argv) {
  ScanOptions options;
  TFS_TRY(parse_options(argc, argv, options));
  if (options.is_done) return {};
  sys::Fd mount = TFS_TRY(sys::open_at("scan.main.open", AT_FDCWD, options.mount.c_str(), O_RDONLY | O_DIRECTORY));
  control::Status status = TFS_TRY(ask_status(mount.get(), options.mount));
  if (status.version != control::kVersion) return mismatch("the tfs_journal of " + escape(options.mount) + " is of another version");
  if (options.asks_status) return print_status(status, options.is_json);
  if (options.serves_wants) return serve_wants(mount.get(), options);
  if (status.is_lost) return Error{Kind::kSystem, 0, "scan.main.lost", "nobody reads the stream of " + escape(options.mount)};
  if (options.paths.empty()) return scan(mount.get(), options, ".");
  for (const std::string& path : options.paths) TFS_TRY(scan(mount.get(), options, path));
  return {};
}

}  // namespace
}  // namespace tfs

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_scan", tfs::run, argc, argv); }
