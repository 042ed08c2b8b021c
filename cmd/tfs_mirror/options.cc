#include "cmd/tfs_mirror/options.h"

#include "lib/cli/options.h"

namespace tfs {

Status parse_options(int argc, char** argv, MirrorOptions& options) {
  apply::Policy& policy = options.policy;
  bool has_timeout = false;
  cli::Usage usage{
      "tfs_mirror [options] DIR\n       tfs_mirror [options] DIR -- COMMAND [ARG...]",
      "Replays the stream on standard input (or the output of COMMAND, where %p stands\n"
      "for the position held) into the directory DIR.",
      {
          {"--position", 0, "", "print the position that DIR is at, EPOCH:SEQ, and exit", cli::set_flag(options.asks_position)},
          {"--status", 0, "", "print how the mirror is, and exit", cli::set_flag(options.asks_status)},
          {"--json", 0, "", "the same as one JSON object", cli::set_flag(options.is_json)},
          {"--wait", 0, "POSITION", "return when DIR is there (--timeout TIME: fail after that)",
           [&](std::string_view text) -> Status {
             options.wait = TFS_TRY(format::parse_position(text));
             return {};
           }},
          {"--metrics", 0, "FILE", "keep FILE a Prometheus text file of how the mirror is", cli::set_text(options.metrics)},
          {"--sync-every", 0, "TIME", "put what was applied on disk that often (10s)",
           [&](std::string_view text) -> Status {
             options.sync_ms = TFS_TRY(cli::parse_duration_ms(text));
             return {};
           }},
          {"--until", 0, "POSITION", "stop when this is applied",
           [&](std::string_view text) -> Status {
             options.replay.until = TFS_TRY(format::parse_position(text));
             return {};
           }},
          {"--timeout", 0, "TIME", "give a silent stream up after this (30s with COMMAND, else never)",
           [&](std::string_view text) -> Status {
             options.silence_ms = TFS_TRY(cli::parse_duration_ms(text));
             has_timeout = true;
             return {};
           }},
          {"--wants", 0, "FILE", "where a scan shows differences, ask for content here (- is stdout)",
           [&](std::string_view text) -> Status {
             options.wants = text;
             options.replay.waits_for_scan = true;
             return {};
           }},
          {"--bootstrap", 0, "", "whatever DIR holds, make it exact: COMMAND answers wants on its stdin",
           [&](std::string_view) -> Status {
             options.bootstraps = options.replay.waits_for_scan = true;
             return {};
           }},
          {"--wait-scan", 0, "", "where the stream does not fit, wait for a scan (as with --wants)",
           cli::set_flag(options.replay.waits_for_scan)},
          {"--check", 0, "", "follow up to the end of a scan, repair nothing, say what differs",
           cli::set_flag(options.replay.only_checks)},
          {"--assume-equal", 0, "", "I vouch that DIR is equal to the store where the stream begins",
           cli::set_flag(options.replay.assumes_equal)},
          {"--dry-run", 'n', "", "change nothing; say what would be done, a line each", cli::set_flag(options.is_dry_run)},
          {"--no-owner", 0, "", "leave owners and groups alone", cli::set_flag(policy.sets_owner, false)},
          {"--no-special", 0, "", "an empty file stands in for each device", cli::set_flag(policy.makes_devices, false)},
          {"--no-xattr", 0, "", "leave all extended attributes and ACLs out", cli::set_flag(policy.sets_xattrs, false)},
          {"--no-privileged-xattr", 0, "", "leave those of trusted. and security. out",
           cli::set_flag(policy.sets_privileged_xattrs, false)},
          {"--no-flags", 0, "", "leave the inode flags of chattr(1) out", cli::set_flag(policy.sets_flags, false)},
          {"--coarse-times", 0, "", "set times as near as the filesystem can", cli::set_flag(policy.keeps_times, false)},
          {"--trust-mtime", 0, "", "files of equal size and mtime are equal: a quick scan proves",
           cli::set_flag(policy.trusts_mtime)},
          {"--unprivileged", 0, "", "all of --no-owner -special -privileged-xattr -flags",
           [&](std::string_view) -> Status {
             policy.sets_owner = policy.makes_devices = policy.sets_privileged_xattrs = policy.sets_flags = false;
             return {};
           }},
          {"--sync", 0, "", "fsync files where the source did", cli::set_flag(policy.syncs)},
      },
      1,
      1,
      true};
  cli::Parsed parsed = TFS_TRY(cli::parse(argc, argv, usage));
  options.is_done = parsed.is_done;
  if (parsed.is_done) return {};
  options.dir = parsed.operands[0];
  options.command = parsed.command;
  if (options.bootstraps && options.command.empty())
    return usage_error("--bootstrap needs a command (-- COMMAND) that answers wants");
  if (options.bootstraps && !options.wants.empty()) return usage_error("--bootstrap and --wants exclude each other");
  if (!options.command.empty() && !has_timeout) options.silence_ms = 30'000;
  return {};
}

}  // namespace tfs
