#include "lib/apply/doubts.h"

#include <sys/random.h>

#include "lib/apply/state.h"

namespace tfs::apply {
namespace {

constexpr int64_t kPatienceMs = 60'000;  // for a scan to begin

bool is_below(std::string_view path, std::string_view top) {
  return top == "." || (path.starts_with(top) && path.size() > top.size() && path[top.size()] == '/');
}

}  // namespace

void Doubts::begin(Wants& wants) {
  uint64_t number = 0;
  [[maybe_unused]] ssize_t n = ::getrandom(&number, sizeof number, 0);
  wants_ = &wants;
  phase_ = Phase::kCollecting;
  names_.clear();
  is_all_ = false;
  marker_ = std::string(kInnerName) + "/" + std::to_string(number);
  wants.ask_scan(marker_);
}

void Doubts::touch(std::string_view path, uint32_t links) {
  if (phase_ != Phase::kCollecting || is_all_) return;
  is_all_ = path.empty() || path == "." || links > 1 || names_.size() >= kMaxNames;
  if (!is_all_) names_.emplace(path);
}

void Doubts::scan_begins(std::string_view path) {
  scanning_ = path;
  if (phase_ != Phase::kCollecting || path != marker_) return;
  phase_ = Phase::kScanning;
  if (is_all_) names_ = {"."};
  // What lies below another one is scanned with it. Names sort behind those above them.
  for (auto at = names_.begin(); at != names_.end(); ++at) {
    for (auto next = std::next(at); next != names_.end();) next = is_below(*next, *at) ? names_.erase(next) : std::next(next);
  }
  ask();
}

bool Doubts::scan_ends() {
  if (phase_ == Phase::kNone) return false;
  std::erase_if(names_, [&](const std::string& name) {
    return phase_ == Phase::kScanning && (name == scanning_ || is_below(name, scanning_));
  });
  if (scanning_ != "." && (phase_ != Phase::kScanning || !names_.empty())) return false;
  phase_ = Phase::kNone;
  return true;
}

void Doubts::ask() {
  for (const std::string& name : names_) wants_->ask_scan(name);
}

void Doubts::remind(int64_t now_ms) {
  if (phase_ == Phase::kNone || !wants_->is_overdue(now_ms, kPatienceMs)) return;
  if (phase_ == Phase::kScanning) return ask();
  wants_->ask_scan(marker_);
}

}  // namespace tfs::apply
