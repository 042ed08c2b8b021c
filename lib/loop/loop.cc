#include "lib/loop/loop.h"

#include <uv.h>

namespace tfs::loop {

Result<Loop> Loop::open() {
  auto raw = std::make_unique<uv_loop_t>();
  if (int rc = uv_loop_init(raw.get()); rc != 0) return system_error("loop.open.init", -rc, "unable to make an event loop");
  return Loop(std::unique_ptr<uv_loop_s, Closer>(raw.release()));
}

void Loop::run() { uv_run(loop_.get(), UV_RUN_DEFAULT); }
void Loop::stop() { uv_stop(loop_.get()); }

void Loop::Closer::operator()(uv_loop_s* loop) const noexcept {
  // Close callbacks come at the end of a turn; a signal that was caught and not yet told needs one turn more.
  for (int turns = 0; turns < 10 && uv_loop_alive(loop) != 0; turns++) uv_run(loop, UV_RUN_NOWAIT);
  TFS_CHECK(uv_loop_close(loop) == 0);  // else an owner outlives its loop
  delete loop;
}

}  // namespace tfs::loop
