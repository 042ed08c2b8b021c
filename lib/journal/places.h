// STORE and MNT as the user gave them, made fit to be used, or refused with the reason.
#pragma once

#include <string>

#include "lib/base/result.h"
#include "lib/sys/fd.h"

namespace tfs::journal {

struct Places {
  std::string store;       // absolute, no symbolic links
  std::string mountpoint;  // the same
  sys::Fd lock;            // flock of the store: one tfs_journal for each
};

// Cleans up a mount that a killed run left behind. Refuses what is missing, no directory, in use, or one inside the other.
Result<Places> find_places(const std::string& store, const std::string& mountpoint);

// By fusermount3, as far as it lets us.
void unmount_as_user(const std::string& path);

// Standard output as the way out of the stream. kUsage where it is a terminal, or a file below the store or the mount (it would
// journal itself).
Result<sys::Fd> standard_output(const Places& places);

// A FIFO, a UNIX socket or a file at `path` as the way out. kSystem/ENXIO or ECONNREFUSED where nobody reads there yet.
Result<sys::Fd> open_output(const std::string& path, const Places& places);

}  // namespace tfs::journal
