// What the mirror's filesystem and user can do, asked before the first frame: what cannot be kept is an error at start.
#pragma once

#include "lib/apply/policy.h"
#include "lib/base/result.h"

namespace tfs::apply {

// Tries in the directory `state_fd` (on the mirror's filesystem) all that `policy` promises. kUsage naming the option to give.
Status probe(int state_fd, const Policy& policy);

}  // namespace tfs::apply
