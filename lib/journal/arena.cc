#include "lib/journal/arena.h"

#include <new>
#include <utility>

namespace tfs::journal {

Arena::Arena(std::span<std::byte> memory) : memory_(memory) {
  for (uint32_t index = 0; index < head().slabs; index++) {
    Slab& slab = this->slab(index);
    if ((slab.used + size_t{1}) * slab.stride + sizeof(Slab) <= kSlabSize) open_[slab.stride / kStep] = &slab;
    for (uint32_t i = 0; i < slab.used; i++) {
      std::byte* object = slab.begin() + size_t{i} * slab.stride + sizeof(Header);
      if (header_of(object).kind == 0) put_free(object);
    }
  }
}

void* Arena::allocate(size_t size) {
  TFS_CHECK(size <= kMost);
  auto size_class = static_cast<uint32_t>((size + sizeof(Header) + kStep - 1) / kStep);
  if (void* object = free_[size_class]) {
    free_[size_class] = *static_cast<void**>(object);
    return object;
  }
  Slab& slab = open_slab(size_class);
  auto* header = reinterpret_cast<Header*>(slab.begin() + size_t{slab.used} * slab.stride);
  header->size_class = size_class;
  slab.used += 1;
  return header + 1;
}

Arena::Slab& Arena::open_slab(uint32_t size_class) {
  Slab*& open = open_[size_class];
  if (open != nullptr && (open->used + size_t{1}) * open->stride + sizeof(Slab) <= kSlabSize) return *open;
  uint32_t index = head().slabs;
  if (kSlabSize * (size_t{index} + 2) > memory_.size()) throw std::bad_alloc();
  open = &slab(index);
  open->stride = static_cast<uint32_t>(size_class * kStep);
  head().slabs = index + 1;
  return *open;
}

void Arena::free(void* object) {
  header_of(object).kind.store(0, std::memory_order_release);
  put_free(object);
}

void Arena::put_free(void* object) {
  void*& list = free_[header_of(object).size_class];
  *static_cast<void**>(object) = std::exchange(list, object);
}

}  // namespace tfs::journal
