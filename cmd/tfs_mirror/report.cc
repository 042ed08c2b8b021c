#include "cmd/tfs_mirror/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "lib/base/escape.h"
#include "lib/sys/io.h"

namespace tfs {
namespace {

using apply::Activity;

double seconds_since(int64_t then_ms) {
  if (then_ms == 0) return -1;
  sys::WallTime now = sys::wall_time();
  int64_t now_ms = now.sec * 1000 + now.nsec / 1'000'000;
  return std::max(0.0, static_cast<double>(now_ms - then_ms) / 1000);
}

std::string_view state_of(const MirrorReport& report, Activity activity, const apply::State& state) {
  if (!state.has_position() && activity != Activity::kScanning)
    return report.is_running && activity == Activity::kNeedsScan ? "needs a scan" : "not valid";
  if (!report.is_running) return report.is_exact ? "stopped" : "needs a scan";
  if (activity == Activity::kStuck) return "stuck";
  if (report.silent_seconds < 0 || report.silent_seconds > kStalledSeconds) return "stalled";
  if (activity == Activity::kScanning) return "scanning";
  if (!report.is_exact) return "needs a scan";
  return report.lag_seconds > kBehindSeconds ? "catching up" : "following";
}

}  // namespace

MirrorReport report_of(const apply::State& state) {
  const apply::StateBlock& block = state.block();
  MirrorReport report;
  report.is_running = state.is_in_use();
  report.is_exact = state.is_exact();
  if (state.has_position()) report.position = to_text(state.position());
  Activity activity = report.is_running ? block.activity.load() : Activity::kNone;
  if (activity == Activity::kStuck) report.trouble.assign(block.trouble, ::strnlen(block.trouble, sizeof block.trouble));
  report.lag_seconds = seconds_since(block.source_time_ms);
  report.silent_seconds = seconds_since(block.heard_at_ms);
  report.waiting_bytes = block.waiting_bytes;
  report.frames = block.frames;
  report.bytes = block.bytes;
  if (report.bytes > 0) {
    double mean = static_cast<double>(report.bytes) / static_cast<double>(report.frames);
    report.waiting_frames = static_cast<uint64_t>(std::ceil(static_cast<double>(report.waiting_bytes) / mean));
  }
  report.open_wants = block.open_wants;
  report.synced = block.synced;
  report.state = state_of(report, activity, state);
  return report;
}

std::string to_text(const MirrorReport& r) {
  auto seconds = [](double s) { return s < 0 ? std::string("unknown") : fmt::format("{:.1f} s", s); };
  std::string text = fmt::format("state     {}\nposition  {}\nexact     {}\n", r.state, r.position.empty() ? "none" : r.position,
                                 r.is_exact ? "yes" : "no");
  if (!r.trouble.empty()) text += fmt::format("trouble   {}\n", escape(r.trouble));
  text += fmt::format(
      "behind    {}, {} bytes, about {} frames\nheard     {} ago\napplied   {} frames, {} bytes\nwants     {}\nsynced    frame "
      "{}\n",
      seconds(r.lag_seconds), r.waiting_bytes, r.waiting_frames, seconds(r.silent_seconds), r.frames, r.bytes, r.open_wants,
      r.synced);
  return text;
}

std::string to_json(const MirrorReport& r) {
  auto seconds = [](double s) { return s < 0 ? std::string("null") : fmt::format("{:.3f}", s); };
  return fmt::format(
      "{{\"state\":\"{}\",\"position\":{},\"exact\":{},\"running\":{},\"trouble\":{},\"lag-seconds\":{},\"lag-bytes\":{},\"lag-"
      "frames\":{},"
      "\"silent-seconds\":{},\"frames\":{},\"bytes\":{},\"wants\":{},\"synced\":{}}}\n",
      r.state, r.position.empty() ? "null" : quote(r.position), r.is_exact, r.is_running,
      r.trouble.empty() ? "null" : quote(r.trouble), seconds(r.lag_seconds), r.waiting_bytes, r.waiting_frames,
      seconds(r.silent_seconds), r.frames, r.bytes, r.open_wants, r.synced);
}

std::string to_prometheus(const MirrorReport& r, std::string_view dir) {
  std::string label = quote(dir);  // escaped as Prometheus has it, too
  std::string text;
  auto add = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    text += fmt::format("# HELP tfs_mirror_{0} {1}\n# TYPE tfs_mirror_{0} {2}\ntfs_mirror_{0}{{dir={3}}} {4}\n", name, help, type,
                        label, value);
  };
  add("exact", "gauge", "1 where the mirror is an exact prefix of its source's history", r.is_exact ? 1 : 0);
  text += "# HELP tfs_mirror_state 1 for the state that the mirror is in\n# TYPE tfs_mirror_state gauge\n";
  for (std::string_view state :
       {"following", "catching up", "scanning", "stalled", "stuck", "needs a scan", "not valid", "stopped"}) {
    text += fmt::format("tfs_mirror_state{{dir={},state=\"{}\"}} {}\n", label, state, r.state == state ? 1 : 0);
  }
  size_t colon = r.position.rfind(':');
  add("position", "gauge", "the number of the last frame applied",
      colon == r.position.npos ? 0 : std::stod(r.position.substr(colon + 1)));
  if (r.lag_seconds >= 0) add("lag_seconds", "gauge", "time since the source's last heartbeat that has come here", r.lag_seconds);
  if (r.silent_seconds >= 0) add("silent_seconds", "gauge", "time since anything has come", r.silent_seconds);
  add("lag_bytes", "gauge", "bytes that have come and are not applied", static_cast<double>(r.waiting_bytes));
  add("lag_frames", "gauge", "frames that have come and are not applied, by the mean size of those that were",
      static_cast<double>(r.waiting_frames));
  add("frames_total", "counter", "frames applied since the start", static_cast<double>(r.frames));
  add("bytes_total", "counter", "bytes of frames applied since the start", static_cast<double>(r.bytes));
  add("wants", "gauge", "files of which content is wanted", static_cast<double>(r.open_wants));
  sys::WallTime now = sys::wall_time();
  add("written_seconds", "gauge", "when this was written, since 1970", static_cast<double>(now.sec));
  return text;
}

}  // namespace tfs
