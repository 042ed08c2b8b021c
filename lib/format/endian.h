// Little-endian integers at any address. The only byte order code.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tfs::format {

template <class Int>
Int load_le(const std::byte* at) {
  Int value;
  std::memcpy(&value, at, sizeof value);
  if constexpr (std::endian::native == std::endian::big && sizeof(Int) > 1) {
    Int swapped = 0;
    for (size_t i = 0; i < sizeof(Int); i++) swapped = static_cast<Int>(swapped << 8 | (value >> (8 * i) & 0xff));
    value = swapped;
  }
  return value;
}

template <class Int>
void store_le(std::byte* at, Int value) {
  for (size_t i = 0; i < sizeof(Int); i++) at[i] = static_cast<std::byte>(value >> (8 * i) & 0xff);
}

}  // namespace tfs::format
