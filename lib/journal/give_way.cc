#include "lib/journal/give_way.h"

#include <time.h>

#include <algorithm>
#include <thread>

#include "lib/journal/request_context.h"
#include "lib/sys/process.h"

namespace tfs::journal {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLook(1);
constexpr milliseconds kMostPause(20);
constexpr int kShare = 16;
constexpr uint32_t kMuch = 2;  // requests a millisecond

int64_t own_processor_time_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

void GiveWay::between() {
  steady_clock::time_point now = steady_clock::now();
  if (now - since_ < kLook) return;
  int64_t worked = own_processor_time_ns();
  uint32_t replies = replies_given();
  auto passed = std::chrono::duration_cast<microseconds>(now - since_).count();
  bool is_much = (replies - replies_) * int64_t{1000} >= passed * kMuch;
  if (is_much && sys::running_threads() >= sys::usable_processors()) {
    std::this_thread::sleep_for(std::min<nanoseconds>(nanoseconds((worked - worked_ns_) * (kShare - 1)), kMostPause));
    now = steady_clock::now();
  }
  since_ = now;
  worked_ns_ = worked;
  replies_ = replies;
}

}  // namespace tfs::journal
