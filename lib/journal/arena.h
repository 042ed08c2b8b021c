// Where the node table's objects live: many small ones, of a few sizes. An object is in use from the store of its kind on, and up to the
// store of 0, each one word: so a process that shares the memory finds all that were in use, and only these, at whatever instruction
// the one that used it was killed. Free lists are no part of that; they are made anew.
//
// Threads: one at a time; the node table has the lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/check.h"

namespace tfs::journal {

class Arena {
 public:
  static constexpr size_t kMost = 320;  // bytes of an object

  // Memory of zeros, or that another arena has left.
  explicit Arena(std::span<std::byte> memory);

  // Room for an object, which is not in use yet. std::bad_alloc where there is no more.
  void* allocate(size_t size);
  // The object is complete.
  static void use(void* object, uint32_t kind) { header_of(object).kind.store(kind, std::memory_order_release); }
  void free(void* object);

  // All that are in use: visit(kind, object). It may free what it is given.
  template <class Visit>
  void each(Visit visit) {
    for (uint32_t index = 0; index < head().slabs; index++) {
      Slab& slab = this->slab(index);
      for (uint32_t i = 0; i < slab.used; i++) {
        std::byte* object = slab.begin() + size_t{i} * slab.stride + sizeof(Header);
        if (uint32_t kind = header_of(object).kind) visit(kind, object);
      }
    }
  }

 private:
  static constexpr size_t kSlabSize = 65536;
  static constexpr size_t kStep = 16;

  struct Header {
    std::atomic<uint32_t> kind;  // 0: not in use
    uint32_t size_class;
  };
  struct Head {
    std::atomic<uint32_t> slabs;
  };
  struct Slab {
    uint32_t stride;
    std::atomic<uint32_t> used;  // places that were ever given
    std::byte* begin() { return reinterpret_cast<std::byte*>(this + 1); }
  };
  static_assert(sizeof(Slab) % alignof(void*) == 0 && sizeof(Header) % alignof(void*) == 0);

  static Header& header_of(void* object) { return static_cast<Header*>(object)[-1]; }
  Head& head() { return *reinterpret_cast<Head*>(memory_.data()); }
  Slab& slab(uint32_t index) { return *reinterpret_cast<Slab*>(memory_.data() + kSlabSize * (size_t{index} + 1)); }
  void put_free(void* object);
  Slab& open_slab(uint32_t size_class);

  const std::span<std::byte> memory_;
  std::array<void*, kMost / kStep + 2> free_{};  // by size class; each holds the next one
  std::array<Slab*, kMost / kStep + 2> open_{};  // that have places which were never given
};

}  // namespace tfs::journal
