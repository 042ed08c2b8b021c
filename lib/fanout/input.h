// Standard input as events: "there are bytes" for a pipe or a socket, and always for a regular file, which no kernel watches.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "lib/loop/idle.h"
#include "lib/loop/poll.h"
#include "lib/sys/fd.h"

namespace tfs::fanout {

class Input {
 public:
  // `on_ready` is called while not paused and a read would not wait. It starts paused.
  Input(loop::Loop& loop, sys::Fd fd, std::function<void()> on_ready);
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  Status start();
  void pause();
  void resume();
  bool is_paused() const { return is_paused_; }
  void close();

  // At least one byte, or 0 at the end; nothing where there is nothing after all.
  Result<std::optional<size_t>> read(std::span<std::byte> into);

 private:
  loop::Loop& loop_;
  sys::Fd fd_;
  std::function<void()> on_ready_;
  std::optional<loop::Poll> poll_;  // none for a regular file
  loop::Idle turns_;                // in its place
  bool is_paused_ = true;
};

}  // namespace tfs::fanout
