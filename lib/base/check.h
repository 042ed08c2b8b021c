// Our own invariants. Input, peers, disks and users never reach this: it aborts.
#pragma once

namespace tfs {
[[noreturn]] void check_failed(const char* file, int line, const char* what);
}

#define TFS_CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::tfs::check_failed(__FILE__, __LINE__, #condition))
