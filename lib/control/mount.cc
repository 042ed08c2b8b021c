#include "lib/control/mount.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "lib/base/escape.h"
#include "lib/format/position.h"
#include "lib/sys/io.h"

namespace tfs::control {
namespace {

std::string position_of(const Status& status) {
  format::Position position;
  std::memcpy(position.epoch.bytes.data(), status.epoch, sizeof status.epoch);
  position.seq = status.seq;
  return format::to_text(position);
}

std::string to_text(const Status& status, const ScanResult& last) {
  return "position  " + position_of(status) + "\nreader    " + (status.is_lost ? "none" : "reads") + "\nbacklog   " +
         std::to_string(status.backlog) + " bytes\nnodes     " + std::to_string(status.nodes) + "\nscanning  " +
         (status.is_scanning ? "yes" : "no") + "\ndescribed " + std::to_string(status.scan_names) + " names, " +
         std::to_string(status.scan_bytes) + " bytes\n" +
         (last.course == kGivenUp ? "given up  " + std::string(last.why) + "\n" : "");
}

std::string to_json(const Status& status, const ScanResult& last) {
  return "{\"position\":\"" + position_of(status) + "\",\"reader\":" + (status.is_lost ? "false" : "true") +
         ",\"backlog\":" + std::to_string(status.backlog) + ",\"nodes\":" + std::to_string(status.nodes) +
         ",\"scanning\":" + (status.is_scanning ? "true" : "false") + ",\"scan-names\":" + std::to_string(status.scan_names) +
         ",\"scan-bytes\":" + std::to_string(status.scan_bytes) +
         (last.course == kGivenUp ? ",\"scan-failure\":" + quote(last.why) : "") + "}\n";
}

}  // namespace

Result<sys::Fd> open_mount(const std::string& mount) {
  return sys::open_at("control.mount.open", AT_FDCWD, mount.c_str(), O_RDONLY | O_DIRECTORY);
}

Error refused(const std::string& mount, int error) {
  switch (error) {
    case ENOTTY: return usage_error(escape(mount) + " is not the top of a mount of tfs_journal");
    case EPERM:
      return Error{Kind::kSystem, 0, "control.mount.ask", "only root and the user of tfs_journal may ask " + escape(mount)};
    case EBUSY: return Error{Kind::kSystem, 0, kBusy, "a scan of " + escape(mount) + " is running already"};
    default: return system_error("control.mount.ask", error, "unable to ask " + escape(mount));
  }
}

Result<Status> ask_status(int fd, const std::string& mount) {
  Status status{};
  if (::ioctl(fd, kGetStatus, &status) != 0) return refused(mount, errno);
  if (status.version != kVersion) return mismatch("the tfs_journal of " + escape(mount) + " is of another version");
  return status;
}

Result<ScanResult> ask_scan(int fd, const std::string& mount, uint64_t scan) {
  ScanResult result{};
  result.scan = scan;
  if (::ioctl(fd, kGetScan, &result) != 0) return refused(mount, errno);
  result.why[sizeof result.why - 1] = '\0';
  return result;
}

Result<std::string> status_text(int fd, const std::string& mount, const Status& status, bool is_json) {
  ScanResult last = TFS_TRY(ask_scan(fd, mount, status.scan));
  return is_json ? to_json(status, last) : to_text(status, last);
}

}  // namespace tfs::control
