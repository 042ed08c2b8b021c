#include "lib/fanout/report.h"

#include <fmt/format.h>

#include <ctime>

#include "lib/base/escape.h"

namespace tfs::fanout {
namespace {

std::string seconds(uint64_t ms) { return fmt::format("{}.{:03}", ms / 1000, ms % 1000); }

}  // namespace

std::string to_text(const sys::WallTime& time) {
  std::time_t sec = time.sec;
  std::tm parts{};
  gmtime_r(&sec, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string to_text(const Report& r) {
  std::string out = fmt::format("{}: process {}, {}, since {}\n", escape(r.socket), r.pid, r.state, to_text(r.since));
  out += fmt::format("{} frames, {} bytes, last number {}, {} s ago; clients: {} now, {} in all, {} cut off\n", r.frames, r.bytes,
                     r.last_seq, seconds(r.idle_ms), r.clients.size(), r.joined, r.cut_off);
  if (r.clients.empty()) return out;
  constexpr std::string_view row = "{:>8} {:>8} {:>10} {:>12} {:>11} {:>10}  {}\n";
  out += fmt::format(row, "PID", "UID", "LAG FRAMES", "LAG BYTES", "LAG SECONDS", "IN SOCKET", "SINCE");
  for (const ClientReport& c : r.clients) {
    out += fmt::format(row, c.peer.pid, c.peer.uid, c.lag.frames, c.lag.bytes, seconds(c.lag.ms), c.in_socket, to_text(c.since));
  }
  return out;
}

std::string to_json(const Report& r) {
  std::string out =
      fmt::format(R"({{"socket":{},"pid":{},"state":"{}","since":"{}","frames":{},"bytes":{},"last_seq":{},"idle_seconds":{},)"
                  R"("joined":{},"cut_off":{},"ring_bytes":{},"clients":[)",
                  quote(r.socket), r.pid, r.state, to_text(r.since), r.frames, r.bytes, r.last_seq, seconds(r.idle_ms), r.joined,
                  r.cut_off, r.ring_bytes);
  for (const ClientReport& c : r.clients) {
    if (out.back() == '}') out += ',';
    out += fmt::format(R"({{"pid":{},"uid":{},"lag_frames":{},"lag_bytes":{},"lag_seconds":{},"in_socket":{},"since":"{}"}})",
                       c.peer.pid, c.peer.uid, c.lag.frames, c.lag.bytes, seconds(c.lag.ms), c.in_socket, to_text(c.since));
  }
  return out + "]}\n";
}

}  // namespace tfs::fanout
