// What this process is and may do, and what its standard streams are.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace tfs::sys {

// A descriptor 0, 1 or 2 that was closed would be taken by the next file or socket, which would then get our messages. What
// stands in for it fails as a closed one does: standard input cannot be read, the others cannot be written.
void fill_standard_descriptors();

bool is_terminal(int fd);
pid_t own_pid();
// Raises the limit of open descriptors to `count` if it is lower, as far as that is allowed.
void allow_open_files(size_t count);

// Threads of this machine that run or want to, this one included (1 where that is not known), and the processors that this
// thread may use.
int running_threads();
int usable_processors();

// Makes a pipe hold at least so much, as far as that is allowed; nothing else is changed.
void widen_pipe(int fd, size_t bytes);

}  // namespace tfs::sys
