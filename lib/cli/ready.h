// --ready-fd N: a newline is written to descriptor N, and N closed, when the tool serves. No sleeping and hoping in scripts.
#pragma once

#include <functional>
#include <string_view>

#include "lib/base/result.h"

namespace tfs::cli {

class Ready {
 public:
  std::function<Status(std::string_view)> setter();  // for Option::set
  void announce();                                   // once; also tells systemd (NOTIFY_SOCKET), where it listens

 private:
  int fd_ = -1;
};

}  // namespace tfs::cli
