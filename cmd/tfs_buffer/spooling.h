// tfs_buffer's work: the input, or a command's output again and again, into the spool; and from there to standard output.
#pragma once

#include "cmd/tfs_buffer/options.h"

namespace tfs::buffer {

Status spool_input(Options& options);

}  // namespace tfs::buffer
