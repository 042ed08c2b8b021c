#include "lib/loop/idle.h"

#include "lib/loop/handle.h"

namespace tfs::loop {

struct Idle::Handle : Box<uv_idle_t, std::function<void()>> {
  using Box::Box;
};

void Idle::Closer::operator()(Handle* handle) const noexcept { close_later(handle); }

Idle::Idle(Loop& loop, std::function<void()> fn) : handle_(new Handle(std::move(fn))) {
  uv_idle_init(loop.raw(), &handle_->handle);  // cannot fail
}

void Idle::start() {
  uv_idle_start(&handle_->handle, [](uv_idle_t* idle) noexcept { call<Handle>(idle); });
}

void Idle::stop() { uv_idle_stop(&handle_->handle); }

}  // namespace tfs::loop
