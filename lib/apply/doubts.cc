#include "lib/apply/doubts.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "lib/apply/state.h"

namespace tfs::apply {
namespace {

constexpr int64_t kPatienceMs = 60'000;  // for a scan to begin

bool is_below(std::string_view path, std::string_view top) {
  return top == "." || (path.starts_with(top) && path.size() > top.size() && path[top.size()] == '/');
}

bool is_at_or_below(std::string_view path, std::string_view top) { return path == top || is_below(path, top); }

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

void Doubts::touch(std::string_view path) {
  if (phase_ != Phase::kCollecting || is_all_) return;
  if (path.empty() || path == "." || names_.size() >= kMaxNames) return doubt_all();
  names_.emplace(path);
}

// What a scan describes now, the source describes again under its new name.
bool Doubts::is_scanned(std::string_view path) const {
  return std::ranges::any_of(scanned_, [&](const std::string& top) { return is_at_or_below(path, top); });
}

bool Doubts::is_to_be_scanned(std::string_view path) const {
  return !is_scanned(path) && std::ranges::any_of(names_, [&](const std::string& name) { return is_at_or_below(path, name); });
}

void Doubts::moved(std::string_view from, std::string_view to) {
  if (phase_ != Phase::kScanning || is_all_ || is_scanned(from)) return;
  Names more;
  if (is_to_be_scanned(from)) more.emplace(to);
  for (const std::string& name : names_) {
    if (is_below(name, from) && !is_scanned(name)) more.insert(std::string(to) + name.substr(from.size()));
  }
  for (const std::string& name : more) {
    if (names_.insert(name).second) wants_->ask_scan(name);
  }
  if (names_.size() > kMaxNames) doubt_all();
}

void Doubts::left_nameless(std::string_view path) {
  if (phase_ == Phase::kCollecting || (phase_ == Phase::kScanning && is_to_be_scanned(path))) doubt_all();
}

void Doubts::meets_links() {
  if (phase_ == Phase::kScanning) doubt_all();
}

void Doubts::doubt_all() {
  if (phase_ == Phase::kNone || is_all_) return;
  is_all_ = true;
  names_ = {"."};
  if (phase_ == Phase::kScanning) ask();
}

void Doubts::scan_begins(std::string_view path, bool goes_on) {
  if (!goes_on) {
    Names lost = std::exchange(scanned_, {});
    if (path != ".") ask_again(lost);
  }
  scanned_.emplace(path);
  if (phase_ != Phase::kCollecting || path != marker_) return;
  phase_ = Phase::kScanning;
  // What lies below another one is scanned with it. Names sort behind those above them.
  for (auto at = names_.begin(); at != names_.end(); ++at) {
    for (auto next = std::next(at); next != names_.end();) next = is_below(*next, *at) ? names_.erase(next) : std::next(next);
  }
  ask();
}

// A scan that stands in the stream from before the cut meets what came later.
bool Doubts::expects_difference() {
  if (phase_ == Phase::kNone || scanned_.count(".") != 0) return false;
  if (phase_ == Phase::kCollecting) {
    for (const std::string& path : scanned_) touch(path);
    return true;
  }
  return std::ranges::all_of(scanned_, [&](const std::string& path) { return path == marker_ || names_.count(path) != 0; });
}

bool Doubts::scan_ends(bool are_proof) {
  Names scanned = std::exchange(scanned_, {});
  if (!are_proof) ask_again(scanned);
  if (!are_proof || phase_ == Phase::kNone) return false;
  auto is_done = [&](const std::string& name) {
    return std::ranges::any_of(scanned, [&](const std::string& top) { return is_at_or_below(name, top); });
  };
  if (phase_ == Phase::kScanning) std::erase_if(names_, is_done);
  if (scanned.count(".") == 0 && (phase_ != Phase::kScanning || !names_.empty())) return false;
  phase_ = Phase::kNone;
  return true;
}

// Those of these scans that are still needed.
void Doubts::ask_again(const Names& names) {
  for (const std::string& name : names) {
    if (phase_ == Phase::kScanning && names_.count(name) != 0) wants_->ask_scan(name);
  }
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
