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

// How a scan goes, by its name.
Result<ScanResult> ask_scan(int fd, const std::string& mount, uint64_t scan);

// What --status prints: lines for people, or one line of JSON; with how the last scan went.
Result<std::string> status_text(int fd, const std::string& mount, const Status& status, bool is_json);

}  // namespace tfs::control
