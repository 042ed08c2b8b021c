// Requests that libfuse 3.14 does not know (TMPFILE, STATX) or cuts short (SETXATTR in its long form), answered from their raw
// bytes. Structures are those of <linux/fuse.h>; what newer headers have and ours may not is written out.
#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/bytes.h"

namespace tfs::journal {

class Filesystem;
class Session;

struct RawRequest {
  int fd;  // of /dev/fuse
  char* bytes;
  size_t size;
};

// `error` is positive, or 0 and then `body` follows. Returns the errno of the write: ENOENT where the caller was interrupted.
int reply_raw(int fd, uint64_t unique, int error, ByteView body);

// Whether it takes a place in the stream.
bool changes_something(const fuse_in_header& header);

void do_release(Filesystem& filesystem, const RawRequest& request, bool has_room);  // does not answer
void answer_setxattr(Filesystem& filesystem, const RawRequest& request);
void answer_tmpfile(Session& session, const RawRequest& request);
void answer_statx(Session& session, const RawRequest& request);

}  // namespace tfs::journal
