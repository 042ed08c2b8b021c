// What the mirror's filesystem and user can do, asked before the first frame: what cannot be kept is an error at start.
#pragma once

#include "lib/apply/policy.h"
#include "lib/apply/time_range.h"
#include "lib/base/result.h"

namespace tfs::apply {

// Tries in the directory `state_fd` (on the mirror's filesystem) all that `policy` promises, and looks at what has become of it. kUsage
// naming the option to give. The times that the filesystem can hold.
Result<TimeRange> probe(int state_fd, const Policy& policy);

}  // namespace tfs::apply
