// Address space of this process, taken once; memory comes with the first touch of each page.
#pragma once

#include <cstddef>

#include "lib/base/result.h"

namespace tfs::sys {

class Region {
 public:
  // At least `least` bytes, and up to `most` as far as the system lets us. With `is_shared`, children of fork(2) have the same memory at
  // the same place.
  static Result<Region> reserve(size_t least, size_t most, bool is_shared);
  Region(Region&& other) noexcept;
  Region& operator=(Region&&) = delete;
  ~Region();

  std::byte* begin() const { return begin_; }
  size_t size() const { return size_; }

 private:
  Region(std::byte* begin, size_t size) : begin_(begin), size_(size) {}
  std::byte* begin_;
  size_t size_;
};

}  // namespace tfs::sys
