// What belongs to the request that a thread is at, and to the thread.
#pragma once

#include <sys/stat.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace tfs::journal {

class Flight;
class UringEntry;
struct MountOptions;

// What libfuse hides of a request, noted from its raw form.
struct RequestContext {
  bool kills_set_id = false;
  bool is_cached_write = false;  // pages that the kernel had in its cache, at a time of its own
  bool is_done_again = false;    // it was begun by a process that was killed (redo.h)
  Flight* flight = nullptr;      // which keeps the answer, if anything does
  UringEntry* entry = nullptr;   // where the answer goes, if not to /dev/fuse
};
RequestContext& request_context();

// What was done for a request is seen by whoever does one that the kernel sends because of its reply. The kernel orders the two, in a way
// that neither the memory model nor a sanitizer knows of: so it is said here.
void after_receive();

// Gives FUSE an answer, or tells it something; `parts` begin with a fuse_out_header. A flight keeps an answer, so that it can be given
// again. As writev(2).
ssize_t send_reply(int fd, std::span<const iovec> parts);

// How many that were, from all threads; it wraps.
uint32_t replies_given();

// What a request that is done again finds done: by itself.
bool was_done_before(int error, int sign);

// A buffer of this thread, for a reply; good until the next call.
std::span<std::byte> thread_buffer(size_t size);
// The same for a request of which only the fixed part is looked at: an answer made there is copied once less.
std::span<std::byte> reply_buffer(size_t size);

// -o uid=, gid=, umask=.
void present_attributes(const MountOptions& options, struct stat& st);

}  // namespace tfs::journal
