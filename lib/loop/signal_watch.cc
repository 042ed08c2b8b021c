#include "lib/loop/signal_watch.h"

#include "lib/loop/handle.h"

namespace tfs::loop {

struct SignalWatch::Handle : Box<uv_signal_t, std::function<void(int)>> {
  using Box::Box;
};

void SignalWatch::Closer::operator()(Handle* handle) const noexcept { close_later(handle); }

Result<SignalWatch> SignalWatch::open(Loop& loop, std::initializer_list<int> signals, const std::function<void(int)>& fn) {
  SignalWatch watch;
  for (int number : signals) {
    auto handle = std::make_unique<Handle>(fn);
    int rc = uv_signal_init(loop.raw(), &handle->handle);
    if (rc != 0) return system_error("loop.signal.init", -rc, "unable to watch for signals");
    Handle* raw = watch.handles_.emplace_back(handle.release()).get();
    rc = uv_signal_start(
        &raw->handle, [](uv_signal_t* s, int got) noexcept { call<Handle>(s, got); }, number);
    if (rc != 0) return system_error("loop.signal.start", -rc, "unable to watch for signals");
    uv_unref(raw->base());
  }
  return watch;
}

}  // namespace tfs::loop
