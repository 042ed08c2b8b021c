#include "cmd/tfs_buffer/options.h"

#include <algorithm>

#include "lib/base/escape.h"
#include "lib/cli/options.h"
#include "lib/source/words.h"
#include "lib/spool/registry.h"

namespace tfs::buffer {
namespace {

using Mode = Options::Mode;

constexpr uint64_t kLeastSegment = uint64_t{64} << 10;
constexpr uint64_t kSegmentsInMaxSize = 4;      // what is written, what a reader is in, the one before, and one to trim
constexpr uint64_t kDefaultTimeoutMs = 60'000;  // of a command: several heartbeats
constexpr uint64_t kMaxDurationMs = uint64_t{1} << 40;

std::function<Status(std::string_view)> set_mode(Options& o, Mode mode) {
  return [&o, mode](std::string_view) -> Status {
    if (o.mode != Mode::kSpool && o.mode != mode)
      return usage_error("only one of --read, --status, --readers and --drop-reader is possible");
    o.mode = mode;
    return {};
  };
}

Status set_from(std::string_view text, Options& o) {
  o.from = Options::From::kPosition;
  if (text == source::kNoPosition) o.from = Options::From::kOldest;
  else if (text == "new") o.from = Options::From::kNew;
  else o.position = TFS_TRY(format::parse_position(text));
  return {};
}

Status set_duration(std::string_view text, uint64_t& ms) {
  ms = TFS_TRY(cli::parse_duration_ms(text));
  if (ms > kMaxDurationMs) return usage_error("too long");
  return {};
}

Status set_sync(std::string_view text, spool::SyncPolicy& sync) {
  using When = spool::SyncPolicy::When;
  if (text == "none") sync.when = When::kNever;
  else if (text == "segment") sync.when = When::kSegment;
  else if (text == "each") sync.when = When::kEach;
  else {
    if (!cli::parse_duration_ms(text)) return usage_error("none, segment, each or a time (5s) is wanted");
    TFS_TRY(set_duration(text, sync.interval_ms));
    if (sync.interval_ms == 0) return usage_error("0 would never rest; did you mean each?");
    sync.when = When::kInterval;
  }
  return {};
}

Status set_full(std::string_view text, spool::Limits& limits) {
  if (text != "wait" && text != "drop") return usage_error("wait or drop is wanted");
  limits.drops = text == "drop";
  return {};
}

struct Given {
  bool segment = false, timeout = false, spooling = false;
};

cli::Usage usage_for(Options& o, Given& given) {
  // Options that only make sense where something is spooled.
  auto spooling = [&given](auto set) {
    return [&given, set](std::string_view text) -> Status {
      given.spooling = true;
      return set(text);
    };
  };
  auto set_segment = [&](std::string_view v) -> Status {
    given.segment = true;
    return cli::set_bytes(o.settings.segment_bytes)(v);
  };
  auto set_timeout = [&](std::string_view v) -> Status {
    given.timeout = true;
    return set_duration(v, o.timeout_ms);
  };
  cli::Usage usage;
  usage.synopsis =
      "tfs_buffer [options] SPOOL < stream\n"
      "       tfs_buffer [options] SPOOL -- COMMAND [ARGUMENT...]\n"
      "       tfs_buffer --read SPOOL [--from EPOCH:SEQ] [--follow] [--reader NAME]\n"
      "       tfs_buffer --status SPOOL | --readers SPOOL | --drop-reader NAME SPOOL";
  usage.summary =
      "Keeps a stream in the directory SPOOL, and passes it on from there: standard\n"
      "input, or the output of COMMAND, which is run again where it breaks off, with\n"
      "the position held for %p. Any number of readers share a spool.";
  usage.options = {
      {"--read", 0, "", "read the spool to standard output", set_mode(o, Mode::kRead)},
      {"--from", 0, "POSITION", "begin behind EPOCH:SEQ, or with what is oldest (none)",
       [&o](std::string_view v) { return set_from(v, o); }},
      {"--follow", 'f', "", "with --read: go on as the spool grows", cli::set_flag(o.follows)},
      {"--reader", 0, "NAME", "with --read: keep a place, and hold what is behind it",
       [&o](std::string_view v) {
         o.reader = v;
         return spool::check_reader_name(o.reader);
       }},
      {"--segment", 0, "BYTES", "begin a new segment after so much (64M)", spooling(set_segment)},
      {"--sync", 0, "WHEN", "none, segment (the default), a time (5s) or each",
       spooling([&o](std::string_view v) { return set_sync(v, o.settings.sync); })},
      {"--max-size", 0, "BYTES", "keep no more than this", spooling(cli::set_bytes(o.settings.limits.max_bytes))},
      {"--max-age", 0, "TIME", "keep nothing that is older (12h, 7d)",
       spooling([&o](std::string_view v) { return set_duration(v, o.settings.limits.max_age_ms); })},
      {"--full", 0, "POLICY", "on a full disk: wait (the default), or drop the oldest",
       spooling([&o](std::string_view v) { return set_full(v, o.settings.limits); })},
      {"--no-output", 'n', "", "do not pass the stream on", spooling(cli::set_flag(o.has_output, false))},
      {"--timeout", 0, "TIME", "longest silence of the input (COMMAND: 60s; 0: any)", spooling(set_timeout)},
      {"--retry", 0, "TIME", "longest pause before COMMAND is run again (30s)",
       spooling([&o](std::string_view v) { return set_duration(v, o.most_pause_ms); })},
      {"--ready-fd", 0, "FD", "write a newline there when spooling", spooling(o.ready.setter())},
      {"--status", 0, "", "say what the spool holds, and who reads it", set_mode(o, Mode::kStatus)},
      {"--readers", 0, "", "list the registered readers", set_mode(o, Mode::kReaders)},
      {"--drop-reader", 0, "NAME", "hold nothing for this reader any more",
       [&o](std::string_view v) -> Status {
         o.reader = v;
         return set_mode(o, Mode::kDropReader)(v);
       }},
      {"--json", 0, "", "with --status or --readers: as JSON", cli::set_flag(o.is_json)},
  };
  usage.min_operands = usage.max_operands = 1;
  usage.takes_command = true;
  return usage;
}

Status check_sizes(Options& o, const Given& given) {
  uint64_t& segment = o.settings.segment_bytes;
  uint64_t max = o.settings.limits.max_bytes;
  if (segment < kLeastSegment) return usage_error("--segment: 64K is the least");
  if (max == 0) return {};
  if (max < kSegmentsInMaxSize * kLeastSegment) return usage_error("--max-size: 256K is the least");
  if (!given.segment) segment = std::min(segment, std::max(kLeastSegment, max / 8));
  if (max < kSegmentsInMaxSize * segment) return usage_error("--max-size has to hold four segments (--segment)");
  return {};
}

Status check_modes(const Options& o, const Given& given) {
  bool is_spool = o.mode == Mode::kSpool, is_read = o.mode == Mode::kRead;
  if (given.spooling && !is_spool)
    return usage_error("options for spooling make no sense with --read, --status, --readers and --drop-reader");
  if (!o.command.empty() && !is_spool) return usage_error("a command makes no sense here");
  if (o.follows && !is_read) return usage_error("--follow goes with --read");
  if (!o.reader.empty() && !is_read && o.mode != Mode::kDropReader) return usage_error("--reader goes with --read");
  if (o.from != Options::From::kDefault && !is_read && !(is_spool && o.has_output))
    return usage_error("--from goes with an output");
  if (o.from == Options::From::kNew && !is_spool) return usage_error("--from new goes with spooling");
  if (o.is_json && o.mode != Mode::kStatus && o.mode != Mode::kReaders)
    return usage_error("--json goes with --status or --readers");
  return {};
}

}  // namespace

Status parse(int argc, char** argv, Options& options) {
  Given given;
  cli::Usage usage = usage_for(options, given);
  cli::Parsed parsed = TFS_TRY(cli::parse(argc, argv, usage));
  options.is_done = parsed.is_done;
  if (options.is_done) return {};
  options.path = parsed.operands[0];
  options.command = std::move(parsed.command);
  bool has_dashes = std::any_of(argv + 1, argv + argc, [](const char* word) { return std::string_view(word) == "--"; });
  if (has_dashes && options.command.empty()) return usage_error("no command behind --");
  if (!options.command.empty() && !given.timeout) options.timeout_ms = kDefaultTimeoutMs;
  TFS_TRY(check_sizes(options, given));
  return check_modes(options, given);
}

}  // namespace tfs::buffer
