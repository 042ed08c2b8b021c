#include "lib/journal/request_context.h"

#include <atomic>
#include <cstdint>

#include "lib/base/page_bytes.h"
#include "lib/journal/flights.h"
#include "lib/journal/session.h"
#include "lib/journal/uring_entry.h"

namespace tfs::journal {

RequestContext& request_context() {
  static thread_local RequestContext context;
  return context;
}

namespace {

std::atomic<uint32_t> replies{0};

}  // namespace

ssize_t send_reply(int fd, std::span<const iovec> parts) {
  replies.fetch_add(1, std::memory_order_release);
  const auto& head = *static_cast<const fuse_out_header*>(parts[0].iov_base);
  Flight* flight = request_context().flight;
  if (flight != nullptr && head.unique == flight->request().unique) flight->note_answer(parts);
  UringEntry* entry = request_context().entry;
  if (entry == nullptr || head.unique != entry->unique()) return ::writev(fd, parts.data(), static_cast<int>(parts.size()));
  entry->answer(parts);
  return head.len;
}

void after_receive() { static_cast<void>(replies.load(std::memory_order_acquire)); }

uint32_t replies_given() { return replies.load(std::memory_order_relaxed); }

bool was_done_before(int error, int sign) { return error == sign && request_context().is_done_again; }

std::span<std::byte> thread_buffer(size_t size) {
  static thread_local PageBytes buffer;
  if (buffer.size() < size) buffer = PageBytes(size);
  return std::span(buffer).first(size);
}

std::span<std::byte> reply_buffer(size_t size) {
  UringEntry* entry = request_context().entry;
  return entry != nullptr && size <= entry->room().size() ? entry->room().first(size) : thread_buffer(size);
}

void present_attributes(const MountOptions& options, struct stat& st) {
  if (options.shows_uid) st.st_uid = options.uid;
  if (options.shows_gid) st.st_gid = options.gid;
  if (options.shows_mode) st.st_mode = (st.st_mode & S_IFMT) | (0777 & ~options.umask);
}

}  // namespace tfs::journal
