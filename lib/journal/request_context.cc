#include "lib/journal/request_context.h"

#include <atomic>
#include <cstdint>
#include <vector>

#include "lib/journal/flights.h"
#include "lib/journal/session.h"

namespace tfs::journal {

RequestContext& request_context() {
  static thread_local RequestContext context;
  return context;
}

namespace {

std::atomic<uint32_t> replies{0};

}  // namespace

void before_reply(std::span<const iovec> parts) {
  replies.fetch_add(1, std::memory_order_release);
  Flight* flight = request_context().flight;
  if (flight == nullptr || static_cast<const fuse_out_header*>(parts[0].iov_base)->unique != flight->request().unique) return;
  flight->note_answer(parts);
}
void after_receive() { static_cast<void>(replies.load(std::memory_order_acquire)); }

bool was_done_before(int error, int sign) { return error == sign && request_context().is_done_again; }

std::span<std::byte> thread_buffer(size_t size) {
  static thread_local std::vector<std::byte> buffer;
  if (buffer.size() < size) buffer.resize(size);
  return std::span(buffer).first(size);
}

void present_attributes(const MountOptions& options, struct stat& st) {
  if (options.shows_uid) st.st_uid = options.uid;
  if (options.shows_gid) st.st_gid = options.gid;
  if (options.shows_mode) st.st_mode = (st.st_mode & S_IFMT) | (0777 & ~options.umask);
}

}  // namespace tfs::journal
