// The command line of tfs_mirror. Opens nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/apply/policy.h"
#include "lib/apply/replay.h"
#include "lib/base/result.h"

namespace tfs {

struct MirrorOptions {
  std::string dir;
  std::vector<std::string> command;  // behind "--": makes the stream
  std::string wants;                 // where wants are written; empty: nowhere
  apply::Policy policy;
  apply::ReplayOptions replay;
  uint64_t silence_ms = 0;  // --timeout; 0: never
  uint64_t sync_ms = 10'000;
  std::string metrics;                   // a file; empty: none
  std::optional<format::Position> wait;  // until DIR is there
  bool bootstraps = false;
  bool asks_status = false, is_json = false;
  bool is_dry_run = false;
  bool asks_position = false;
  bool is_done = false;  // --help or --version
};

Status parse_options(int argc, char** argv, MirrorOptions& options);

}  // namespace tfs
