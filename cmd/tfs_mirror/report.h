// How a mirror is, in the three forms in which it is asked for. Read from its state file, whether a program works on it or not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/apply/state.h"

namespace tfs {

struct MirrorReport {
  std::string_view state;  // one of the words of tfs_mirror(1)
  std::string position;    // "EPOCH:SEQ", empty for none
  std::string trouble;     // why it is stuck
  bool is_exact = false, is_running = false;
  double lag_seconds = -1;                         // since the source's last heartbeat that has come here; -1: none has come
  double silent_seconds = -1;                      // since anything came
  uint64_t waiting_bytes = 0;                      // come, and not applied yet
  uint64_t waiting_frames = 0;                     // the same, by the mean size of those that were applied
  uint64_t frames = 0, bytes = 0, open_wants = 0;  // of this run
  uint64_t synced = 0;
};

// A mirror whose lag, or silence, is longer than this is behind, or stalled.
constexpr double kBehindSeconds = 5, kStalledSeconds = 30;

MirrorReport report_of(const apply::State& state);
std::string to_text(const MirrorReport& report);
std::string to_json(const MirrorReport& report);  // one line
std::string to_prometheus(const MirrorReport& report, std::string_view dir);

}  // namespace tfs
