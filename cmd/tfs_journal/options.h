// The command line of tfs_journal. Opens nothing.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"
#include "lib/cli/ready.h"
#include "lib/journal/session.h"

namespace tfs {

struct JournalOptions {
  std::string store, mountpoint;
  journal::MountOptions mount;
  std::string output;  // --output, or empty: standard output
  uint64_t heartbeat_ms = 1000;
  bool keeps = false;  // --keep
  bool asks_status = false, is_json = false;
  cli::Ready ready;
  bool is_done = false;     // --help or --version
  bool takes_over = false;  // in: the mount serves already, and whoever wanted to know that has been told
};

// Fills `options`, which must stay where it is.
Status parse_options(int argc, char** argv, JournalOptions& options);

}  // namespace tfs
