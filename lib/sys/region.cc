#include "lib/sys/region.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace tfs::sys {

Result<Region> Region::reserve(size_t least, size_t most, bool is_shared) {
  for (size_t size = most;; size = std::max(least, size / 2)) {
    int flags = MAP_ANONYMOUS | MAP_NORESERVE | (is_shared ? MAP_SHARED : MAP_PRIVATE);
    void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (at != MAP_FAILED) return Region(static_cast<std::byte*>(at), size);
    if (size == least) return system_error("sys.region.mmap", errno, "unable to get memory");
  }
}

Region::Region(Region&& other) noexcept : begin_(std::exchange(other.begin_, nullptr)), size_(other.size_) {}

Region::~Region() {
  if (begin_ != nullptr) ::munmap(begin_, size_);
}

}  // namespace tfs::sys
