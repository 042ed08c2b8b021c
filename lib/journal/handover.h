// What a tfs_journal leaves to the program that takes its place in the same process (execve), so that a new version serves the mount
// without an unmount: open files go on, and so does the stream, in the same epoch.
//
// Descriptors keep their numbers, which are FUSE's file handles as well. The rest goes through a memfd, whose number stands in the
// environment:
//
//   TFS_HANDOVER=FORMAT:FD      take over
//   TFS_HANDOVER=FORMAT:check   say by the exit status (0) whether this program and this command line could
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/format/position.h"
#include "lib/sys/fd.h"

namespace tfs::journal {

class NodeTable;
class Store;

struct Handover {
  std::string store, mountpoint;  // as Places has them: nobody may look at the mount before it is served
  format::Position position;      // of the stream
  std::vector<std::byte> init;    // the kernel's INIT request
  int fuse = -1, lock = -1;
  int output = -1;  // -1: nobody reads
};

struct HandoverRequest {
  bool is_check = false;
  int fd = -1;
};

// What the environment asks of this program. kUsage where that is of another format.
Result<std::optional<HandoverRequest>> handover_request();

// Whether the program at `path` can take over with these arguments: it is asked.
Status ask_successor(const std::string& path, char* const argv[]);

// Into a memfd. Nothing may use the table or the store meanwhile.
Result<sys::Fd> write_handover(const Handover& handover, const NodeTable& table, const Store& store);
// The part that is needed to open the store and the mount; then the rest, into a table and a store that are new.
Result<Handover> read_handover(int fd);
Status read_nodes(int fd, NodeTable& table, Store& store);

// What the successor needs stays open for it.
void let_inherit(int handover, const Handover& what, const Store& store);

// Becomes the program at `path`. Returns only where that fails, and then nothing is inherited any more.
Error become_successor(const std::string& path, char* const argv[], int handover);

// After execve: what was left open for this program is not for those that it starts.
void keep_descriptors_to_ourselves();

}  // namespace tfs::journal
