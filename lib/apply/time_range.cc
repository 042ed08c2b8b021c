#include "lib/apply/time_range.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <variant>

#include "lib/apply/attributes.h"

namespace tfs::apply {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr uint32_t kFraction = 987'654'321;

std::optional<format::Time> kept(int fd, const format::Time& time) {
  struct stat st;
  if (set_mtime(fd, time, Descriptor::kOpen) != 0 || ::fstat(fd, &st) != 0) return {};
  return format::Time{st.st_mtim.tv_sec, static_cast<uint32_t>(st.st_mtim.tv_nsec)};
}

// Of an odd second and kFraction as they were kept.
int64_t step_of(const format::Time& kept) {
  if (kept.sec % 2 == 0) return 2 * kSecond;
  int64_t step = 1;
  while (step < kSecond && kept.nsec % (step * 10) == 0) step *= 10;
  return kFraction - kFraction % step == kept.nsec ? step : kSecond;
}

}  // namespace

format::Time TimeRange::nearest(const format::Time& time) const {
  if (step_ns == 1 && first < time.sec && time.sec < last) return time;
  format::Time near{std::clamp(time.sec, first, last), time.nsec};
  if (near.sec == first || near.sec == last) near.nsec = 0;
  if (step_ns < kSecond) near.nsec -= static_cast<uint32_t>(near.nsec % step_ns);
  else near = {near.sec - ((near.sec % (step_ns / kSecond)) + step_ns / kSecond) % (step_ns / kSecond), 0};
  return near;
}

// What is told beyond these is no end: a number that has run over.
TimeRange time_range_of(int fd) {
  constexpr int64_t kLatestBegin = 1'000'000'000, kEarliestEnd = std::numeric_limits<int32_t>::max();
  TimeRange range;
  if (auto time = kept(fd, {range.first, 0}); time && time->sec < kLatestBegin) range.first = time->sec;
  if (auto time = kept(fd, {range.last, 0}); time && time->sec >= kEarliestEnd) range.last = time->sec;
  if (auto time = kept(fd, {kLatestBegin + 1, kFraction})) range.step_ns = step_of(*time);
  return range;
}

bool TimeRange::holds(const format::Record& record) const {
  auto are_held = [this](const auto& r) {
    bool all = true;
    if constexpr (requires { r.mtime; }) all = all && holds(r.mtime);
    if constexpr (requires { r.parent_mtime; }) all = all && holds(r.parent_mtime);
    if constexpr (requires { r.new_parent_mtime; }) all = all && holds(r.new_parent_mtime);
    if constexpr (requires { r.whiteout_mtime; }) all = all && holds(r.whiteout_mtime);
    if constexpr (requires { r.atime; }) all = all && (!(r.valid & format::kSetAtime) || holds(r.atime));
    return all;
  };
  return std::visit(are_held, record);
}

}  // namespace tfs::apply
