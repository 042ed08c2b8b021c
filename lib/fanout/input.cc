#include "lib/fanout/input.h"

#include <cerrno>
#include <utility>

#include "lib/fanout/lag_policy.h"
#include "lib/sys/io.h"
#include "lib/sys/process.h"

namespace tfs::fanout {

Input::Input(loop::Loop& loop, sys::Fd fd, std::function<void()> on_ready)
    : loop_(loop), fd_(std::move(fd)), on_ready_(std::move(on_ready)), turns_(loop, [this] { on_ready_(); }) {}

Status Input::start() {
  sys::widen_pipe(fd_.get(), kPipe);
  Result<loop::Poll> poll = loop::Poll::open(loop_, fd_.get(), [this](unsigned) { on_ready_(); });
  if (poll) {
    poll_.emplace(std::move(poll).value());
  } else if (poll.error().sys_errno != EPERM) {
    return std::move(poll).error();
  }
  return {};
}

void Input::pause() {
  is_paused_ = true;
  poll_ ? (void)poll_->set(0) : turns_.stop();
}

void Input::resume() {
  is_paused_ = false;
  poll_ ? (void)poll_->set(loop::kReadable) : turns_.start();
}

void Input::close() {
  pause();
  poll_.reset();
  fd_.reset();
}

Result<std::optional<size_t>> Input::read(std::span<std::byte> into) {
  Result<size_t> n = sys::read_some("fanout.input.read", fd_.get(), into);
  if (n) return std::optional<size_t>(n.value());
  if (n.error().sys_errno == EAGAIN) return std::optional<size_t>();
  return system_error("fanout.input.read", n.error().sys_errno, "unable to read standard input");
}

}  // namespace tfs::fanout
