#include "lib/journal/uring_entry.h"

#include <cstring>
#include <utility>

#include "lib/base/check.h"

namespace tfs::journal {

struct UringEntry::Headers {
  std::byte in_out[128];  // fuse_in_header, and of an answer fuse_out_header
  std::byte fixed[128];   // of a request
  struct {
    uint64_t flags, commit_id;
    uint32_t payload_size, padding;
    uint64_t reserved;
  } about;
};

Result<UringEntry> UringEntry::make() {
  static_assert(sizeof(Headers) == 288);
  return UringEntry(TFS_TRY(sys::Region::reserve(kHeadersSize + kMostPayload, kHeadersSize + kMostPayload, false)));
}

std::array<iovec, 2> UringEntry::buffers() { return {{{memory_.begin(), sizeof(Headers)}, {payload(), kMostPayload}}}; }

bool UringEntry::open_request() {
  is_answered_ = false;
  fuse_in_header head;
  std::memcpy(&head, headers().in_out, sizeof head);
  unique_ = head.unique;
  size_t rest = headers().about.payload_size, fixed = head.len - sizeof head - rest;
  if (head.len < sizeof head + rest || fixed > sizeof headers().fixed || fixed % 8 != 0 || rest > kMostPayload) return false;
  std::byte* at = payload() - fixed;
  std::memcpy(at, headers().fixed, fixed);
  request_ = reinterpret_cast<fuse_in_header*>(at - sizeof head);
  std::memcpy(request_, &head, sizeof head);
  return true;
}

void UringEntry::answer(std::span<const iovec> parts) {
  std::memcpy(headers().in_out, parts[0].iov_base, sizeof(fuse_out_header));
  std::byte* at = payload();
  for (const iovec& part : parts.subspan(1)) {
    TFS_CHECK(part.iov_len <= kMostPayload - static_cast<size_t>(at - payload()));
    if (part.iov_base != at) std::memmove(at, part.iov_base, part.iov_len);
    at += part.iov_len;
  }
  headers().about.payload_size = static_cast<uint32_t>(at - payload());
  is_answered_ = true;
  is_answered_.notify_one();
}

void UringEntry::refuse(int error) {
  fuse_out_header head{sizeof head, -error, unique_};
  iovec part{&head, sizeof head};
  answer({&part, 1});
}

}  // namespace tfs::journal
