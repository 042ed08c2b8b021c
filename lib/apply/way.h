// Lets an ordinary user's mirror go where root went at the source: through and into directories that are closed to their owner. Such a
// directory gets the permissions that a frame needs for as long as the frame takes, and the state says meanwhile what they were, so that
// a kill leaves nothing behind. For root all ways are open, and nothing of this is used.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/apply/state.h"
#include "lib/format/records.h"
#include "lib/sys/fd.h"

namespace tfs::apply {

class Way {
 public:
  Way(int root, State& state) : root_(root), state_(state) {}

  // What `record` goes through: each directory that is ours and lacks a permission has it behind this call. What is missing or not ours
  // is left to the operation, which names it. kSystem where more are closed than can be noted.
  Status open(const format::Record& record);

  // Gives each the mode back that it had; does not fail where one has been removed meanwhile.
  Status close();

  bool has_opened(uint64_t ino) const;

 private:
  struct Opened {
    sys::Fd fd;
    uint64_t ino;
    uint32_t mode;
  };
  struct Needs;
  // The directories above `path`, and what stands there, if it is a directory.
  Status open_path(std::string_view path, const Needs& needs);
  Status open_one(sys::Fd& fd, uint32_t permissions);

  const int root_;
  State& state_;
  std::vector<Opened> opened_;  // from the top
  std::string known_open_;      // the directory that the last record was in, where nothing was closed
  uint32_t known_permissions_ = 0;
};

// The owner may read and write an object of an ordinary user's mirror as long as this lives, whatever its mode is: for what no frame that
// is done again after a kill would put back. An exact mirror that is killed meanwhile is in doubt.
class OpenedObject {
 public:
  OpenedObject(int path_fd, State& state);
  ~OpenedObject();
  OpenedObject(const OpenedObject&) = delete;
  OpenedObject& operator=(const OpenedObject&) = delete;

  bool is_opened() const { return ino_ != 0; }

 private:
  const int path_fd_;
  State& state_;
  uint64_t ino_ = 0;
  uint32_t mode_ = 0;
};

}  // namespace tfs::apply
