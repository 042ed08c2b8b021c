#include "lib/loop/timer.h"

#include "lib/loop/handle.h"

namespace tfs::loop {

struct Timer::Handle : Box<uv_timer_t, std::function<void()>> {
  using Box::Box;
};

void Timer::Closer::operator()(Handle* handle) const noexcept { close_later(handle); }

Timer::Timer(Loop& loop, std::function<void()> fn) : handle_(new Handle(std::move(fn))) {
  uv_timer_init(loop.raw(), &handle_->handle);  // cannot fail
}

void Timer::start(uint64_t after_ms, uint64_t repeat_ms) {
  uv_update_time(handle_->handle.loop);  // uv counts from the turn's beginning, which may be long ago
  uv_timer_start(
      &handle_->handle, [](uv_timer_t* t) noexcept { call<Handle>(t); }, after_ms, repeat_ms);
}

void Timer::stop() { uv_timer_stop(&handle_->handle); }
bool Timer::is_active() const { return uv_is_active(handle_->base()) != 0; }

}  // namespace tfs::loop
