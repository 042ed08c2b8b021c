// What belongs to the request that a thread is at, and to the thread.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <span>

namespace tfs::journal {

struct MountOptions;

// What libfuse hides of a request, noted from its raw form.
struct RequestContext {
  bool kills_set_id = false;
};
RequestContext& request_context();

// A buffer of this thread, for a reply; good until the next call.
std::span<std::byte> thread_buffer(size_t size);

// -o uid=, gid=, umask=.
void present_attributes(const MountOptions& options, struct stat& st);

}  // namespace tfs::journal
