// Numbers for random_ops. Every operation gets a generator of its own, made from the seed, the worker and the number of
// the operation: one that draws more or less than before does not change those after it, so a run stays comparable
// between file systems and after an edit.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tfs::support {

// splitmix64: small, and good enough from any seed, neighbours included.
class Rng {
 public:
  Rng() = default;
  Rng(uint64_t seed, uint64_t worker, uint64_t number)
      : state_(mixed(mixed(mixed(seed + kStep) ^ (worker + 1)) ^ (number + 1))) {}

  uint64_t next() { return mixed(state_ += kStep); }
  uint64_t below(uint64_t limit) { return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * limit) >> 64); }
  uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
  bool chance(unsigned percent) { return below(100) < percent; }

  // 1..max, each power of two as likely as the next: many small numbers, some huge, and max itself often.
  uint64_t log_uniform(uint64_t max) {
    uint64_t power = uint64_t{1} << below(static_cast<uint64_t>(std::bit_width(max)));
    return std::min(max, power + below(power));
  }

  template <typename T, size_t N>
  const T& pick(const T (&choices)[N]) {
    return choices[below(N)];
  }

  void fill(char* out, size_t size) {
    for (; size >= 8; out += 8, size -= 8) put(out, 8);
    if (size > 0) put(out, size);
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

  static uint64_t mixed(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  void put(char* out, size_t size) {
    uint64_t word = next();
    memcpy(out, &word, size);
  }

  uint64_t state_ = 0;
};

}  // namespace tfs::support
