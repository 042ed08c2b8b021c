#include "cmd/tfs_broadcast/options.h"

#include <charconv>

#include "lib/cli/options.h"

namespace tfs::broadcast {
namespace {

constexpr uint64_t kMaxLagBytes = uint64_t{64} << 30;  // they are held in memory

Status set_mode(std::string_view text, unsigned& mode) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (ec != std::errc() || end != text.data() + text.size() || mode > 0777) {
    return usage_error("permissions are an octal number, 0 to 777");
  }
  return {};
}

// The suffix tells bytes from time; a number alone is bytes.
Status set_max_lag(std::string_view text, fanout::Policy& policy) {
  Result<uint64_t> bytes = cli::parse_bytes(text);
  Result<uint64_t> ms = cli::parse_duration_ms(text);
  if (!bytes && !ms) return usage_error("bytes (64M) or a time (10s) is wanted");
  uint64_t& target = bytes ? policy.max_lag_bytes : policy.max_lag_ms;
  target = bytes ? bytes.value() : ms.value();
  if (target == 0) return usage_error("0 would cut off everybody");
  if (policy.max_lag_bytes > kMaxLagBytes) return usage_error("64G are possible at most, for they are held in memory");
  return {};
}

Status set_drain(std::string_view text, fanout::Policy& policy) {
  policy.drain_ms = TFS_TRY(cli::parse_duration_ms(text));
  return {};
}

cli::Usage usage_for(Options& o) {
  cli::Usage usage;
  usage.synopsis =
      "tfs_broadcast [options] SOCKET < stream\n"
      "       tfs_broadcast --status [--json] SOCKET";
  usage.summary =
      "Gives the stream on standard input to every client of the UNIX socket SOCKET.\n"
      "A client may come at any time: it gets HELLO, and frames from then on.\n"
      "The slowest client sets the pace, unless --max-lag says how far back it may be.";
  usage.options = {
      {"--max-lag", 0, "LIMIT", "cut off clients further behind: 64M or 10s (both: twice)",
       [&o](std::string_view v) { return set_max_lag(v, o.policy); }},
      {"--max-clients", 0, "N", "serve N at most (1000); more have to wait", cli::set_count(o.policy.max_clients, 1, 1'000'000)},
      {"--wait", 0, "N", "read nothing until N clients are there", cli::set_count(o.policy.wait_for, 0, 1'000'000)},
      {"--drain", 0, "TIME", "what clients get after the end of input (30s)",
       [&o](std::string_view v) { return set_drain(v, o.policy); }},
      {"--mode", 0, "OCTAL", "permissions of the socket (600)", [&o](std::string_view v) { return set_mode(v, o.mode); }},
      {"--ready-fd", 0, "FD", "write a newline there when serving", o.ready.setter()},
      {"--status", 0, "", "print the clients of a running tfs_broadcast", cli::set_flag(o.is_status)},
      {"--json", 0, "", "as one JSON object, with --status", cli::set_flag(o.is_json)},
  };
  usage.min_operands = usage.max_operands = 1;
  return usage;
}

}  // namespace

Status parse(int argc, char** argv, Options& options) {
  cli::Usage usage = usage_for(options);
  cli::Parsed parsed = TFS_TRY(cli::parse(argc, argv, usage));
  options.is_done = parsed.is_done;
  if (options.is_done) return {};
  options.socket = parsed.operands[0];
  if (options.is_json && !options.is_status) return usage_error("--json goes with --status");
  if (options.policy.wait_for > options.policy.max_clients) {
    return usage_error("--wait for more clients than --max-clients would last for ever");
  }
  return {};
}

}  // namespace tfs::broadcast
