#include "lib/journal/workers.h"

#include <poll.h>

#include <algorithm>
#include <chrono>

#include "lib/base/check.h"
#include "lib/journal/credentials.h"
#include "lib/sys/process.h"

namespace tfs::journal {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr microseconds kLook(50);
constexpr milliseconds kWatchPause(1);
constexpr int kQuietLooks = 20;  // so many pauses without a request, and the watch sleeps
constexpr uint32_t kMostLeftOut = 1024;

thread_local std::function<void()>* own_step_aside = nullptr;

}  // namespace

Workers::Workers(Work work) : work_(std::move(work)) {}

void Workers::start() {
  std::thread([this] { watch(); }).detach();
  give_lead(turn_);
}

// To a thread that waits, to a new one, or to the first that has nothing to do.
void Workers::give_lead(uint64_t turn) {
  std::lock_guard guard(mutex_);
  Thread* next = nullptr;
  if (!idle_.empty()) {
    next = idle_.back();
    idle_.pop_back();
  } else if (threads_.size() < kMaxThreads) {
    threads_.push_back(std::make_unique<Thread>());
    next = threads_.back().get();
    std::thread([this, next] { run(*next); }).detach();
  } else {
    wants_leader_ = true;
    return;
  }
  next->turn = turn;
  next->has_lead = true;
  next->wake.notify_one();
}

void Workers::run(Thread& self) {
  prepare_thread();
  self.slot = work_.make_slot();
  while (!has_ended_) {
    {
      std::unique_lock lock(mutex_);
      self.wake.wait(lock, [&] { return self.has_lead; });
      self.has_lead = false;
    }
    while (true) {
      lead(self);
      std::lock_guard guard(mutex_);
      if (!wants_leader_ || has_ended_) {
        idle_.push_back(&self);
        break;
      }
      wants_leader_ = false;
      self.turn = turn_;
    }
  }
}

// As long as the turn is ours.
void Workers::lead(Thread& self) {
  uint64_t turn = self.turn;
  bool is_leading = true;
  std::function<void()> step_aside = [&] {
    if (!is_leading) return;
    is_leading = false;
    uint64_t busy = turn | kIsBusy;
    if (turn_.compare_exchange_strong(busy, turn + 2)) give_lead(turn + 2);
  };
  own_step_aside = &step_aside;
  while (is_leading && !has_ended_) {
    if (!work_.receive(*self.slot)) {
      if (!has_ended_.exchange(true)) work_.on_end();
      break;
    }
    requests_.fetch_add(1, std::memory_order_relaxed);
    turn_.store(turn | kIsBusy);  // in this order, in all threads' eyes: the watch sleeps only where it sees no request
    if (watch_sleeps_.load()) wake_watch();
    work_.handle(*self.slot);
    if (!is_leading) break;
    uint64_t busy = turn | kIsBusy;
    is_leading = turn_.compare_exchange_strong(busy, turn);  // else the watch has given it to another thread
  }
  own_step_aside = nullptr;
}

void Workers::step_aside() {
  if (own_step_aside != nullptr) (*own_step_aside)();
}

void Workers::wake_watch() {
  std::lock_guard guard(mutex_);
  watch_sleeps_ = false;
  watch_wake_.notify_one();
}

// Takes the lead from a thread that has been at one request for a pause or more.
void Workers::watch() {
  uint64_t seen = 0, seen_turn = 0;
  int quiet = 0;
  for (unsigned tick = 0;; tick++) {
    std::this_thread::sleep_for(kWatchPause);
    uint64_t requests = requests_, turn = turn_;
    if (tick % 16 == 0) is_crowded_ = sys::running_threads() > sys::usable_processors() + 1;
    bool is_stuck = (turn & kIsBusy) && requests == seen && turn == seen_turn;
    if (is_stuck && turn_.compare_exchange_strong(turn, (turn & ~kIsBusy) + 2)) give_lead((turn & ~kIsBusy) + 2);
    quiet = requests == seen && !(turn & kIsBusy) ? quiet + 1 : 0;
    seen = requests;
    seen_turn = turn;
    if (quiet < kQuietLooks) continue;
    std::unique_lock lock(mutex_);
    watch_sleeps_.store(true);
    if (requests_ != seen || (turn_ & kIsBusy)) {
      watch_sleeps_ = false;
      continue;
    }
    watch_wake_.wait(lock, [this] { return !watch_sleeps_; });
    quiet = 0;
  }
}

void Workers::look_ahead(int fd) {
  if (looks_left_out_ > 0) {
    looks_left_out_ -= 1;
    return;
  }
  if (!looks_.load(std::memory_order_relaxed) || is_crowded_.load(std::memory_order_relaxed)) return;
  pollfd polled{fd, POLLIN, 0};
  if (::poll(&polled, 1, 0) != 0) return;  // it was there already: that tells nothing of where its sender runs
  steady_clock::time_point end = steady_clock::now() + kLook;
  while (steady_clock::now() < end) {
    if (::poll(&polled, 1, 0) == 0) continue;
    vain_looks_ = 0;
    return;
  }
  looks_left_out_ = std::min(uint32_t{1} << std::min(vain_looks_, 10u), kMostLeftOut);
  vain_looks_ += 1;
}

}  // namespace tfs::journal
