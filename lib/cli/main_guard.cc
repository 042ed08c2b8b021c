#include "lib/cli/main_guard.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "lib/sys/message.h"
#include "lib/sys/process.h"

namespace tfs::cli {

int exit_code(Kind kind) {
  switch (kind) {
    case Kind::kSystem: return kFailed;
    case Kind::kUsage: return kUsageCode;
    case Kind::kMismatch:
    case Kind::kCorrupt: return kNeedsScan;
    case Kind::kTruncated: return kBrokeOff;
  }
  return kFailed;
}

int guarded_main(const char* name, Status (*run)(int argc, char** argv), int argc, char** argv) {
  sys::set_program_name(name);
  std::signal(SIGPIPE, SIG_IGN);
  sys::fill_standard_descriptors();
  try {
    Status status = run(argc, argv);
    if (status && std::fflush(stdout) != 0) status = system_error("cli.main.flush", errno, "unable to write standard output");
    if (status) return kOk;
    sys::say(status.error());
    return exit_code(status.error().kind);
  } catch (const std::exception& what) {  // std::bad_alloc, or fmt: nothing of ours throws
    sys::say(what.what());
    return kFailed;
  }
}

}  // namespace tfs::cli
