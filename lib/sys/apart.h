// Work in a process of its own: what waits for our own mount in the kernel. A thread of ours that waits there cannot be killed, and holds
// the connection to the kernel open that would have to end for it to go on: nobody would ever get rid of either.
//
// `work` runs in a copy of this process that has one thread and no descriptor but standard error and `kept`: it may make system calls
// and nothing else. It does not outlive the thread that started it.
#pragma once

#include <sys/types.h>

#include <functional>

namespace tfs::sys {

// The process; -1 and errno where there is none. The caller waits for it.
pid_t start_apart(const std::function<int()>& work, int kept = -1);

// What `work` returned, 0 to 255; -1 where that is not known.
int run_apart(const std::function<int()>& work);

// Nobody waits for it, and it may outlive us.
void leave_apart(const std::function<int()>& work);

}  // namespace tfs::sys
