// Memory that begins with a page, for bytes that the kernel copies in. Not zeroed; pages that nothing is put into are never touched.
//
// The kernel copies with "rep movsb". On processors of AMD (Zen 3 and 4) that takes six times as long where the target lies 1 to 31
// bytes further in its page than the source does in its own: and a file's page, or a pipe's, to what malloc(3) gives for large sizes,
// 16 bytes behind the beginning of a page, is just that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "lib/base/bytes.h"

namespace tfs {

constexpr size_t kPage = 4096;

// Whether it would be so slow from there to `offset` in a page.
inline bool is_copied_slowly(const void* source, size_t offset) {
  size_t ahead = (offset - reinterpret_cast<uintptr_t>(source)) % kPage;
  return ahead > 0 && ahead < 32;
}

class PageBytes {
 public:
  PageBytes() = default;
  explicit PageBytes(size_t size)
      : bytes_(static_cast<std::byte*>(std::aligned_alloc(kPage, round_up(size, kPage)))), size_(size) {
    if (bytes_ == nullptr) throw std::bad_alloc();
  }

  std::byte* data() const { return bytes_.get(); }
  size_t size() const { return size_; }
  std::byte* begin() const { return data(); }
  std::byte* end() const { return data() + size_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
  size_t size_ = 0;
};

}  // namespace tfs
