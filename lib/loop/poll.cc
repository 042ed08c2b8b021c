#include "lib/loop/poll.h"

#include <fcntl.h>

#include "lib/loop/handle.h"

namespace tfs::loop {

struct Poll::Handle : Box<uv_poll_t, std::function<void(unsigned)>> {
  using Box::Box;
  unsigned events = 0;
};

void Poll::Closer::operator()(Handle* handle) const noexcept { close_later(handle); }

namespace {

int to_uv(unsigned events) {
  int out = 0;
  if (events & kReadable) out |= UV_READABLE;
  if (events & kWritable) out |= UV_WRITABLE;
  // epoll tells a hang-up to whoever waits for anything, and libuv hands it to whoever waits for one of its four events.
  // Of these only "urgent data" never comes on what we poll: UV_DISCONNECT would come for ever from a peer that is half closed.
  if (events & kHangup) out |= UV_PRIORITIZED;
  return out;
}

unsigned from_uv(int events) {
  unsigned out = 0;
  if (events & UV_READABLE) out |= kReadable;
  if (events & UV_WRITABLE) out |= kWritable;
  if (events & UV_PRIORITIZED) out |= kHangup;
  return out;
}

}  // namespace

Result<Poll> Poll::open(Loop& loop, int fd, std::function<void(unsigned)> fn) {
  auto handle = std::make_unique<Handle>(std::move(fn));
  // uv_poll_init (1.44) makes the descriptor nonblocking, which others who share a standard input would see.
  int flags = ::fcntl(fd, F_GETFL);
  int rc = uv_poll_init(loop.raw(), &handle->handle, fd);
  if (flags >= 0) ::fcntl(fd, F_SETFL, flags);
  if (rc != 0) return system_error("loop.poll.init", -rc, "unable to watch a descriptor");
  return Poll(std::unique_ptr<Handle, Closer>(handle.release()));
}

Status Poll::set(unsigned events) {
  if (events == handle_->events) return {};
  int rc = 0;
  if (events == 0) {
    rc = uv_poll_stop(&handle_->handle);
  } else {
    rc = uv_poll_start(&handle_->handle, to_uv(events), [](uv_poll_t* poll, int status, int got) noexcept {
      if (status < 0) static_cast<Handle*>(poll->data)->events = 0;  // libuv has stopped it
      call<Handle>(poll, status < 0 ? unsigned{kHangup} : from_uv(got));
    });
  }
  if (rc != 0) return system_error("loop.poll.start", -rc, "unable to watch a descriptor");
  handle_->events = events;
  return {};
}

unsigned Poll::events() const { return handle_->events; }

}  // namespace tfs::loop
