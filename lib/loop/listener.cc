#include "lib/loop/listener.h"

#include "lib/sys/unix_socket.h"

namespace tfs::loop {
namespace {

constexpr int kAcceptsPerTurn = 64;   // so that a flood of connections does not starve those who are served
constexpr uint64_t kBackOffMs = 200;  // out of descriptors: long enough to cost nothing, short enough to go unnoticed

}  // namespace

Listener::Listener(Loop& loop, int fd, OnAccept on_accept, OnTrouble on_trouble)
    : loop_(loop), fd_(fd), on_accept_(std::move(on_accept)), on_trouble_(std::move(on_trouble)), back_off_(loop, [this] {
        if (!is_paused_ && poll_) (void)poll_->set(kReadable);
      }) {}

Status Listener::start() {
  poll_.emplace(TFS_TRY(Poll::open(loop_, fd_, [this](unsigned) { accept_some(); })));
  return poll_->set(kReadable);
}

void Listener::pause() {
  is_paused_ = true;
  if (poll_) (void)poll_->set(0);
}

void Listener::resume() {
  is_paused_ = false;
  if (poll_ && !back_off_.is_active()) (void)poll_->set(kReadable);
}

void Listener::accept_last() {
  while (accept_some()) {
  }
  pause();
  poll_.reset();
}

bool Listener::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn && !is_paused_; i++) {
    Result<std::optional<sys::Fd>> fd = sys::accept_unix("loop.listener.accept", fd_);
    if (!fd) {
      if (poll_) (void)poll_->set(0);
      back_off_.start(kBackOffMs);
      if (!std::exchange(is_in_trouble_, true)) on_trouble_(fd.error());
      return false;
    }
    if (!fd.value()) return false;
    is_in_trouble_ = false;
    on_accept_(*std::move(fd).value());
  }
  return !is_paused_;
}

}  // namespace tfs::loop
