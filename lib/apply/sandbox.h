// Landlock: after this the process can open, make and remove files below two directories and nowhere else, whatever it is told.
#pragma once

#include "lib/base/result.h"

namespace tfs::apply {

// False where this kernel has no Landlock that allows renames between directories (before 5.19): openat2 alone stands guard.
Result<bool> confine_to(int mirror_fd, int state_fd);

}  // namespace tfs::apply
