// Signals as events of the loop. SIGPIPE is not here: cli::guarded_main ignores it.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "lib/loop/loop.h"

namespace tfs::loop {

class SignalWatch {
 public:
  // `fn` gets the number. Does not keep run() from returning. The signals' former actions are back once this is gone.
  static Result<SignalWatch> open(Loop& loop, std::initializer_list<int> signals, const std::function<void(int)>& fn);

 private:
  struct Handle;
  struct Closer {
    void operator()(Handle* handle) const noexcept;
  };
  SignalWatch() = default;
  std::vector<std::unique_ptr<Handle, Closer>> handles_;
};

}  // namespace tfs::loop
