#include "lib/journal/redo.h"

#include <linux/fuse.h>
#include <sys/stat.h>

#include <cstring>
#include <string_view>

#include "lib/journal/filesystem.h"
#include "lib/journal/fuse_bits.h"
#include "lib/journal/raw_requests.h"

namespace tfs::journal {
namespace {

template <class In>
const In& body(Flight& flight) {
  return *reinterpret_cast<const In*>(&flight.request() + 1);
}

template <class In>
const char* name_behind(Flight& flight) {
  return reinterpret_cast<const char*>(&body<In>(flight) + 1);
}

const char* name_of(Flight& flight) { return reinterpret_cast<const char*>(&flight.request() + 1); }

}  // namespace

bool Redo::is_doubtful(Flight& flight) {
  switch (flight.request().opcode) {
    // Of these, done twice, the second time tells all.
    case FUSE_WRITE:
      return (body<fuse_write_in>(flight).write_flags & kWriteKillSetId) != 0 ||
             (body<fuse_write_in>(flight).fh & FileHandle::kAppend) != 0;
    case FUSE_SETATTR: return (body<fuse_setattr_in>(flight).valid & FATTR_SIZE) != 0;
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR: return false;
    case FUSE_RELEASE: {
      Node* node = table_.find(flight.request().nodeid);
      return node == nullptr || node->is_held || node->names == nullptr;
    }
    default: return changes_something(flight.request());
  }
}

bool Redo::settle(Flight& flight) {
  uint64_t parent = flight.request().nodeid;
  switch (flight.request().opcode) {
    // Nobody waits for them, and a lookup that is never given back is better than one that is given back twice.
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET: return true;
    case FUSE_RELEASE: return flight.is_done();
    case FUSE_MKNOD: settle_name(parent, name_behind<fuse_mknod_in>(flight)); return false;
    case FUSE_MKDIR: settle_name(parent, name_behind<fuse_mkdir_in>(flight)); return false;
    case FUSE_CREATE: settle_name(parent, name_behind<fuse_create_in>(flight)); return false;
    case FUSE_LINK: settle_name(parent, name_behind<fuse_link_in>(flight)); return false;
    case FUSE_SYMLINK: settle_name(parent, name_of(flight)); return false;
    case FUSE_UNLINK:
    case FUSE_RMDIR: return !settle_name(parent, name_of(flight));
    case FUSE_RENAME: return settle_rename(parent, body<fuse_rename_in>(flight).newdir, name_behind<fuse_rename_in>(flight));
    case FUSE_RENAME2: return settle_rename(parent, body<fuse_rename2_in>(flight).newdir, name_behind<fuse_rename2_in>(flight));
    default: return false;
  }
}

// It has happened where its source is another object than the one that the kernel has seen there, or where the table had begun to say
// so.
bool Redo::settle_rename(uint64_t from, uint64_t to, const char* names) {
  const char *name = names, *new_name = names + std::strlen(names) + 1;
  Node* dir = table_.find(from);
  Node* seen = dir == nullptr ? nullptr : table_.find_name(*dir, name);
  Identity identity;
  bool is_done = !is_there(from, name, identity) || seen == nullptr || seen->ino != identity.ino;
  settle_name(from, name);
  settle_name(to, new_name);
  return is_done;
}

bool Redo::is_there(uint64_t parent, const char* name, Identity& identity) {
  Node* dir = table_.find(parent);
  if (dir == nullptr) return false;
  DirRef ref = store_.directory(*dir);
  struct stat st;
  return ref.is_open() && store_.identify(ref.fd(), name, st, identity) == 0;
}

// Whether there is something.
bool Redo::settle_name(uint64_t parent, const char* name) {
  Identity identity;
  bool is_there = this->is_there(parent, name, identity);
  Node* dir = table_.find(parent);
  if (dir == nullptr) return false;
  Node* now = table_.find_name(*dir, name);
  if (now != nullptr && is_there && now->ino == identity.ino) return true;
  if (now != nullptr) table_.remove_name(*now, *dir, name);
  Node* owner = is_there ? table_.find_ino(identity.ino) : nullptr;
  if (owner != nullptr && owner->handle == identity.handle) table_.add_name(*owner, *dir, name);
  return is_there;
}

}  // namespace tfs::journal
