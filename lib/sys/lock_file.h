// "Only one of me": an flock(2) that ends with the process, on a file that stays.
#pragma once

#include <string>

#include "lib/sys/fd.h"

namespace tfs::sys {

class LockFile {
 public:
  // Locks `name` in the directory `dir`, made if missing. kSystem/EWOULDBLOCK "is in use by process N" where another holds it.
  // `shown` is what messages call the place.
  static Result<LockFile> take(const char* op, int dir, const char* name, const std::string& shown);

 private:
  explicit LockFile(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace tfs::sys
