// Views of bytes. Paths, names and payloads are bytes, never text in some encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tfs {

using ByteView = std::span<const std::byte>;

inline ByteView as_bytes(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

constexpr size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace tfs
