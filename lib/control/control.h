// What programs on the machine may ask of a running tfs_journal: ioctl(2) on the top directory of its mount. Root and the user that
// tfs_journal runs as may; others get EPERM. ENOTTY: not the top of such a mount.
#pragma once

#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace tfs::control {

constexpr uint32_t kVersion = 2;

struct Status {
  uint32_t version;
  uint32_t is_lost;  // nobody reads the stream
  uint8_t epoch[16];
  uint64_t seq;      // of the last frame
  uint64_t backlog;  // bytes not yet written
  uint64_t nodes;    // that the kernel refers to
  uint64_t scan;     // the running or the last scan; 0: none yet
  uint32_t is_scanning;
  uint32_t padding;
  uint64_t scan_names, scan_bytes;  // described so far
};

enum ScanMode : uint32_t { kByHash = 0, kByData = 1, kQuick = 2 };

constexpr uint32_t kPathSize = 8192;
constexpr uint64_t kFullSpeed = UINT64_MAX;

struct ScanRequest {
  uint64_t scan;              // out: its name
  uint64_t bytes_per_second;  // read from the store at most; 0: no limit; kFullSpeed: nor does it give way to programs
  uint32_t mode;
  uint32_t padding;
  char path[kPathSize];  // relative to the mount, "." for all
};

// How a scan goes, or went. Of long ago nothing is known.
enum ScanCourse : uint32_t { kUnknown = 0, kRuns = 1, kEnded = 2, kGivenUp = 3 };

struct ScanResult {
  uint64_t scan;  // in
  uint32_t course;
  uint32_t padding;
  char why[1024];  // kGivenUp: as text
};

// Puts the content of a stretch of a file into the stream. ENOENT: no such file there (any more).
struct WantRequest {
  uint64_t id, offset, length;
  char path[kPathSize];
};

constexpr unsigned long kGetStatus = _IOR('T', 1, Status);
constexpr unsigned long kStartScan = _IOWR('T', 2, ScanRequest);
constexpr unsigned long kWant = _IOW('T', 3, WantRequest);
constexpr unsigned long kGetScan = _IOWR('T', 4, ScanResult);

}  // namespace tfs::control
