#include "cmd/tfs_mirror/upkeep.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>

#include "cmd/tfs_mirror/report.h"
#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs {
namespace {

constexpr auto kTick = std::chrono::milliseconds(250);

Status replace_file(const std::string& path, const std::string& text) {
  std::string temporary = path + ".new";
  sys::Fd fd = TFS_TRY(sys::open_at("mirror.metrics.open", AT_FDCWD, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644));
  TFS_TRY(sys::write_all("mirror.metrics.write", fd.get(), as_bytes(text)));
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    return system_error("mirror.metrics.rename", errno, "unable to write " + escape(path));
  return {};
}

}  // namespace

Upkeep::Upkeep(apply::State& state, std::string dir, std::string metrics, uint64_t sync_ms)
    : state_(state), dir_(std::move(dir)), metrics_(std::move(metrics)), sync_ms_(sync_ms), thread_([this] { run(); }) {}

Upkeep::~Upkeep() {
  {
    std::lock_guard guard(mutex_);
    is_ending_ = true;
    wake_.notify_one();
  }
  thread_.join();
  write_metrics();
}

void Upkeep::run() {
  int64_t synced_at = sys::monotonic_ms(), written_at = 0;
  std::string said;  // once, until it is over
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kTick, [this] { return is_ending_; })) {
    int waiting = 0, fd = input_;
    state_.block().waiting_bytes = fd >= 0 && ::ioctl(fd, FIONREAD, &waiting) == 0 ? static_cast<uint64_t>(waiting) : 0;
    int64_t now = sys::monotonic_ms();
    if (now - written_at >= kMetricsMs) {
      written_at = now;
      write_metrics();
    }
    if (sync_ms_ != 0 && now - synced_at >= static_cast<int64_t>(sync_ms_)) {
      Status status = state_.sync();
      std::string trouble = status ? std::string() : status.error().message();
      if (!trouble.empty() && trouble != said) sys::warn(trouble);
      said = trouble;
      synced_at = sys::monotonic_ms();
    }
  }
}

void Upkeep::write_metrics() {
  if (metrics_.empty()) return;
  if (Status status = replace_file(metrics_, to_prometheus(report_of(state_), dir_)); !status)
    sys::warn(status.error().message());
}

}  // namespace tfs
