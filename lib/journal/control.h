// The answers to lib/control: what programs ask of the running journal by ioctl(2) on the top of the mount.
#pragma once

#include <sys/types.h>

#include "lib/control/control.h"
#include "lib/journal/scanner.h"

namespace tfs::journal {

class Control {
 public:
  Control(Scanner& scanner, Recorder& recorder, Output& output, NodeTable& table)
      : scanner_(scanner), recorder_(recorder), output_(output), table_(table) {}

  static bool is_ours(unsigned long request);

  // 0 or a positive errno. `in` and `out` are as large as the request's number says; `out` is filled where it reads.
  int answer(unsigned long request, uid_t caller, const void* in, size_t in_size, void* out);

 private:
  Scanner& scanner_;
  Recorder& recorder_;
  Output& output_;
  NodeTable& table_;
};

}  // namespace tfs::journal
