#include "lib/journal/control.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace tfs::journal {

bool Control::is_ours(unsigned long request) {
  return request == control::kGetStatus || request == control::kStartScan || request == control::kWant ||
         request == control::kGetScan;
}

int Control::answer(unsigned long request, uid_t caller, const void* in, size_t in_size, void* out) {
  if (caller != 0 && caller != ::geteuid()) return EPERM;
  if (request == control::kGetStatus) {
    auto& status = *static_cast<control::Status*>(out);
    status = {};
    status.version = control::kVersion;
    status.is_lost = output_.is_lost();
    format::Position position = recorder_.position();
    std::memcpy(status.epoch, position.epoch.bytes.data(), sizeof status.epoch);
    status.seq = position.seq;
    status.backlog = output_.backlog();
    status.nodes = table_.size();
    scanner_.fill(status);
    return 0;
  }
  if (request == control::kStartScan) {
    if (in_size < sizeof(control::ScanRequest)) return EINVAL;
    auto& scan = *static_cast<control::ScanRequest*>(out);
    std::memcpy(&scan, in, sizeof scan);
    return scanner_.start(scan);
  }
  if (request == control::kGetScan) {
    if (in_size < sizeof(control::ScanResult)) return EINVAL;
    auto& result = *static_cast<control::ScanResult*>(out);
    std::memcpy(&result, in, sizeof result);
    scanner_.fill(result);
    return 0;
  }
  if (in_size < sizeof(control::WantRequest)) return EINVAL;
  auto want = std::make_unique<control::WantRequest>();
  std::memcpy(want.get(), in, sizeof *want);
  want->path[control::kPathSize - 1] = '\0';
  return scanner_.give(*want);
}

}  // namespace tfs::journal
