// Around every main: names the program, prints the error that comes out, turns its kind into the exit status.
#pragma once

#include "lib/base/result.h"

namespace tfs::cli {

// The statuses of tfs(7), and the only numbers that a tool exits with.
enum ExitCode : int { kOk = 0, kFailed = 1, kUsageCode = 2, kNeedsScan = 3, kBrokeOff = 4 };

int exit_code(Kind kind);

// `run` does the tool's work. SIGPIPE is ignored from here on: a closed pipe is an EPIPE, and says so.
int guarded_main(const char* name, Status (*run)(int argc, char** argv), int argc, char** argv);

}  // namespace tfs::cli
