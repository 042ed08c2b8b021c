#include "lib/loop/wakeup.h"

#include "lib/loop/handle.h"

namespace tfs::loop {

struct Wakeup::Handle : Box<uv_async_t, std::function<void()>> {
  using Box::Box;
};

void Wakeup::Closer::operator()(Handle* handle) const noexcept { close_later(handle); }

Result<Wakeup> Wakeup::open(Loop& loop, std::function<void()> fn) {
  auto handle = std::make_unique<Handle>(std::move(fn));
  int rc = uv_async_init(loop.raw(), &handle->handle, [](uv_async_t* a) noexcept { call<Handle>(a); });
  if (rc != 0) return system_error("loop.wakeup.init", -rc, "unable to make a wake-up");
  return Wakeup(std::unique_ptr<Handle, Closer>(handle.release()));
}

void Wakeup::wake() { uv_async_send(&handle_->handle); }

}  // namespace tfs::loop
