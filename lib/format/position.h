// Where in a stream: epoch and seq, "everything up to here". Where it is stored is not its business.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace tfs::format {

// A random name of one run of tfs_journal.
struct Epoch {
  std::array<uint8_t, 16> bytes{};
  bool operator==(const Epoch&) const = default;
  bool is_none() const { return *this == Epoch{}; }
};

struct Position {
  Epoch epoch;
  uint64_t seq = 0;  // of the last frame; 0 before the first
  bool operator==(const Position&) const = default;
};

// 32 hexadecimal digits.
std::string to_text(const Epoch& epoch);
Result<Epoch> parse_epoch(std::string_view text);

// "EPOCH:SEQ", as on every command line.
std::string to_text(const Position& position);
Result<Position> parse_position(std::string_view text);

}  // namespace tfs::format
