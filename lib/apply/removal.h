// What stands in the way of the truth, taken away; and directories' times kept while that is done.
#pragma once

#include "lib/apply/tree.h"

namespace tfs::apply {

// Removes what stands at a place, with all below it; fine where there is nothing. Inode flags that forbid it are taken off for that, and
// what lives on has them back, or the mirror is in doubt.
Status remove_tree(const Place& place, const Object& shown, State& state);

// Puts the mtime of a directory back when it goes out of scope. Where it cannot, the mirror is in doubt.
class KeepMtime {
 public:
  KeepMtime(int dir_fd, State& state);
  ~KeepMtime();
  KeepMtime(const KeepMtime&) = delete;
  KeepMtime& operator=(const KeepMtime&) = delete;

 private:
  State& state_;
  sys::Fd fd_;
  format::Time mtime_;
};

}  // namespace tfs::apply
