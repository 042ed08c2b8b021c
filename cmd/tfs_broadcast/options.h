// What the command line of tfs_broadcast says.
#pragma once

#include <string>

#include "lib/base/result.h"
#include "lib/cli/ready.h"
#include "lib/fanout/lag_policy.h"

namespace tfs::broadcast {

struct Options {
  std::string socket;
  unsigned mode = 0600;
  fanout::Policy policy;
  cli::Ready ready;
  bool is_status = false, is_json = false;
  bool is_done = false;  // --help or --version was printed
};

// Fills `options`; opens nothing.
Status parse(int argc, char** argv, Options& options);

}  // namespace tfs::broadcast
