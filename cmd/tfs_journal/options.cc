#include "cmd/tfs_journal/options.h"

#include <charconv>
#include <chrono>
#include <optional>

#include "lib/base/escape.h"
#include "lib/cli/options.h"

namespace tfs {
namespace {

Result<uint32_t> parse_id(std::string_view text, int base) {
  uint32_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (ec != std::errc() || end != text.data() + text.size()) return usage_error("not a number: " + escape(text));
  return value;
}

// One word of -o: ours, or libfuse's.
Status take_mount_option(std::string_view word, journal::MountOptions& out) {
  auto value_of = [word](std::string_view name) { return word.substr(name.size()); };
  if (word.starts_with("uid=")) {
    out.uid = TFS_TRY(parse_id(value_of("uid="), 10));
    out.shows_uid = true;
  } else if (word.starts_with("gid=")) {
    out.gid = TFS_TRY(parse_id(value_of("gid="), 10));
    out.shows_gid = true;
  } else if (word.starts_with("umask=")) {
    out.umask = TFS_TRY(parse_id(value_of("umask="), 8));
    if (out.umask > 0777) return usage_error("not an umask: " + escape(word));
    out.shows_mode = true;
  } else if (word == "writeback_cache") {
    out.has_writeback = true;
  } else if (word == "io_uring") {
    out.has_uring = true;
  } else if (word == "debug") {
    out.is_debug = true;
  } else if (!word.empty()) {
    out.fuse.emplace_back(word);
  }
  return {};
}

Status take_mount_options(std::string_view words, journal::MountOptions& out) {
  while (!words.empty()) {
    size_t comma = words.find(',');
    TFS_TRY(take_mount_option(words.substr(0, comma), out));
    words.remove_prefix(comma == words.npos ? words.size() : comma + 1);
  }
  return {};
}

}  // namespace

Status parse_options(int argc, char** argv, JournalOptions& options) {
  bool ignored = false;
  std::optional<uint64_t> max_delay_ms;
  cli::Usage usage{
      "tfs_journal [options] STORE MNT\n       tfs_journal --status [--json] MNT",
      "Shows the directory STORE at MNT through FUSE. Each change made there goes to\n"
      "STORE and, as a frame of the stream, to standard output.",
      {
          {"--mount-option", 'o', "OPT[,OPT...]", "options of the mount: uid= gid= umask= allow_other ...",
           [&](std::string_view words) { return take_mount_options(words, options.mount); }},
          {"--output", 0, "PATH", "write the stream to this FIFO, UNIX socket or file", cli::set_text(options.output)},
          {"--heartbeat", 0, "TIME", "tell that all is well after so much silence (1s)",
           [&](std::string_view text) -> Status {
             options.heartbeat_ms = TFS_TRY(cli::parse_duration_ms(text));
             if (options.heartbeat_ms < 10) return usage_error("10ms at least");
             return {};
           }},
          {"--max-delay", 0, "TIME", "how late the kernel may tell of writes that it caches (see the man page)",
           [&](std::string_view text) -> Status {
             max_delay_ms = TFS_TRY(cli::parse_duration_ms(text));
             if (*max_delay_ms < 10) return usage_error("10ms at least");
             return {};
           }},
          {"--keep", 0, "", "go on serving MNT where the process that does so is killed", cli::set_flag(options.keeps)},
          {"--status", 0, "", "print how the tfs_journal of MNT is, and the position of its stream",
           cli::set_flag(options.asks_status)},
          {"--json", 0, "", "with --status: as JSON", cli::set_flag(options.is_json)},
          {"--ready-fd", 0, "N", "write a newline to descriptor N when MNT is there",
           options.takes_over ? [](std::string_view) -> Status { return {}; } : options.ready.setter()},
          {"--foreground", 'f', "", "stay in the foreground; always so", cli::set_flag(ignored)},
          {"--single-thread", 's', "", "", cli::set_flag(ignored)},
          {"--debug", 'd', "", "tell each request of FUSE on standard error", cli::set_flag(options.mount.is_debug)},
      },
      1,
      2};
  cli::Parsed parsed = TFS_TRY(cli::parse(argc, argv, usage));
  options.is_done = parsed.is_done;
  if (parsed.is_done) return {};
  if (options.is_json && !options.asks_status) return usage_error("--json goes with --status");
  if (options.asks_status && parsed.operands.size() != 1) return usage_error("--status takes MNT alone");
  if (options.keeps && options.mount.has_uring) return usage_error("-o io_uring does not go with --keep");
  if (!options.asks_status && parsed.operands.size() != 2)
    return usage_error("too few arguments: STORE and MNT are wanted (see --help)");
  constexpr uint64_t kDelayOfWriteback = 100;
  options.mount.max_delay = std::chrono::milliseconds(max_delay_ms.value_or(options.mount.has_writeback ? kDelayOfWriteback : 0));
  options.store = parsed.operands.front();
  options.mountpoint = parsed.operands.back();
  return {};
}

}  // namespace tfs
