#include "lib/journal/estate.h"

#include <algorithm>
#include <new>

namespace tfs::journal {
namespace {

constexpr size_t kMostFlights = 4096;  // a thread that works with the mount has one at a time, and the kernel some for its cache
constexpr size_t kFlightsSize = kMostFlights * Flights::kBytesEach + 4096;
constexpr size_t kLeastTable = size_t{1} << 30, kMostTable = size_t{64} << 30;

size_t up_to_page(size_t size) { return (size + 4095) & ~size_t{4095}; }

}  // namespace

Result<Estate> Estate::make(bool is_shared) {
  size_t first = up_to_page(sizeof(Fixed)) + kFlightsSize;
  Estate estate(TFS_TRY(sys::Region::reserve(first + kLeastTable, first + kMostTable, is_shared)), is_shared);
  new (estate.region_.begin()) Fixed;  // memory of zeros, which is what it does not set
  return estate;
}

Estate::Estate(sys::Region region, bool is_shared) : region_(std::move(region)), is_shared_(is_shared) {}

std::span<std::byte> Estate::flight_memory() const { return {region_.begin() + up_to_page(sizeof(Fixed)), kFlightsSize}; }

std::span<std::byte> Estate::table_memory() const {
  size_t first = up_to_page(sizeof(Fixed)) + kFlightsSize;
  return {region_.begin() + first, region_.size() - first};
}

void Estate::note_mount(int fuse, std::span<const std::byte> init) {
  size_t size = std::min(init.size(), kMostInit);
  std::copy_n(init.begin(), size, fixed().init);
  fixed().init_size = static_cast<uint32_t>(size);
  fixed().fuse = fuse;
}

}  // namespace tfs::journal
