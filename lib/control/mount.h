// Asking the tfs_journal behind a mount. The mount is open for moments only: it must not be busy because somebody asks.
#pragma once

#include <string>

#include "lib/base/result.h"
#include "lib/control/control.h"
#include "lib/sys/fd.h"

namespace tfs::control {

// `op` of the error that says that another scan runs.
inline constexpr char kBusy[] = "control.mount.busy";

// The top of the mount, for ioctl(2).
Result<sys::Fd> open_mount(const std::string& mount);
// What an errno of one of these requests means. kUsage: no such mount.
Error refused(const std::string& mount, int error);
// kMismatch: a tfs_journal of another version.
Result<Status> ask_status(int fd, const std::string& mount);

// Why status.failed_scan was given up.
std::string failure_of(const Status& status);

// Lines for people, or one line of JSON.
std::string to_text(const Status& status);
std::string to_json(const Status& status);

}  // namespace tfs::control
