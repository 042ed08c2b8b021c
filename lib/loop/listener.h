// Accepts from a listening socket: a few in each turn, none while paused, and with a pause of its own while the process or the
// machine is out of descriptors; who connects meanwhile waits in the kernel's queue.
#pragma once

#include <functional>
#include <optional>

#include "lib/loop/poll.h"
#include "lib/loop/timer.h"
#include "lib/sys/fd.h"

namespace tfs::loop {

class Listener {
 public:
  using OnAccept = std::function<void(sys::Fd)>;
  using OnTrouble = std::function<void(const Error&)>;

  // `fd` is a nonblocking listening socket, which must stay open while this lives. `on_trouble` hears once of each time that
  // it cannot accept, not of each attempt.
  Listener(Loop& loop, int fd, OnAccept on_accept, OnTrouble on_trouble);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  Status start();
  void pause();
  void resume();
  // Accepts all that are waiting, then no more for ever.
  void accept_last();

 private:
  bool accept_some();  // whether there may be more

  Loop& loop_;
  int fd_;
  OnAccept on_accept_;
  OnTrouble on_trouble_;
  Timer back_off_;
  std::optional<Poll> poll_;
  bool is_paused_ = false, is_in_trouble_ = false;
};

}  // namespace tfs::loop
