#include "lib/format/crc32c.h"

#include <array>

#include "lib/format/endian.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tfs::format {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;

using Table = std::array<std::array<uint32_t, 256>, 8>;

constexpr Table make_table() {
  Table t{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ kPolynomial : crc >> 1;
    t[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; i++) {
    for (size_t k = 1; k < 8; k++) t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 0xff];
  }
  return t;
}

constexpr Table kTable = make_table();

uint32_t update_by_table(uint32_t crc, const std::byte* at, size_t size) {
  for (; size >= 8; at += 8, size -= 8) {
    uint64_t word = load_le<uint64_t>(at) ^ crc;
    crc = 0;
    for (size_t k = 0; k < 8; k++) crc ^= kTable[7 - k][word >> (8 * k) & 0xff];
  }
  for (; size > 0; at++, size--) crc = kTable[0][(crc ^ static_cast<uint32_t>(*at)) & 0xff] ^ crc >> 8;
  return crc;
}

// a * b modulo the polynomial; bit 31 is the coefficient of x^0.
constexpr uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t mask = uint32_t{1} << 31; mask != 0; mask >>= 1) {
    if (a & mask) product ^= b;
    b = b & 1 ? b >> 1 ^ kPolynomial : b >> 1;
  }
  return product;
}

// x^(8 * 2^k): what appending 2^k zero bytes multiplies a checksum by.
constexpr std::array<uint32_t, 40> make_powers() {
  std::array<uint32_t, 40> p{};
  uint32_t x = uint32_t{1} << 30;
  for (int i = 0; i < 3; i++) x = multiply(x, x);
  for (auto& power : p) {
    power = x;
    x = multiply(x, x);
  }
  return p;
}

constexpr auto kPowers = make_powers();

uint32_t append_zeros(uint32_t crc, size_t count) {
  for (size_t k = 0; count != 0; k++, count >>= 1) {
    if (count & 1) crc = multiply(crc, kPowers[k]);
  }
  return crc;
}

#if defined(__x86_64__)
// One crc32 instruction has a latency of three cycles and a throughput of one, so three lanes run for the price of one.
constexpr size_t kLane = 2048;

// Appending kLane zero bytes, a byte of the checksum at a time.
constexpr std::array<std::array<uint32_t, 256>, 4> make_lane_table() {
  uint32_t power = kPowers[11];
  std::array<std::array<uint32_t, 256>, 4> t{};
  for (size_t k = 0; k < 4; k++) {
    for (uint32_t i = 0; i < 256; i++) t[k][i] = multiply(i << (8 * k), power);
  }
  return t;
}
static_assert(kLane == size_t{1} << 11);
constexpr auto kLaneTable = make_lane_table();

uint32_t skip_lane(uint32_t crc) {
  return kLaneTable[0][crc & 0xff] ^ kLaneTable[1][crc >> 8 & 0xff] ^ kLaneTable[2][crc >> 16 & 0xff] ^ kLaneTable[3][crc >> 24];
}

__attribute__((target("sse4.2"))) uint32_t update_by_sse(uint32_t crc, const std::byte* at, size_t size) {
  while (size >= 3 * kLane) {
    uint64_t a = crc, b = 0, c = 0;
    for (const std::byte* end = at + kLane; at < end; at += 8) {
      a = _mm_crc32_u64(a, load_le<uint64_t>(at));
      b = _mm_crc32_u64(b, load_le<uint64_t>(at + kLane));
      c = _mm_crc32_u64(c, load_le<uint64_t>(at + 2 * kLane));
    }
    crc = skip_lane(skip_lane(static_cast<uint32_t>(a)) ^ static_cast<uint32_t>(b)) ^ static_cast<uint32_t>(c);
    at += 2 * kLane;
    size -= 3 * kLane;
  }
  uint64_t wide = crc;
  for (; size >= 8; at += 8, size -= 8) wide = _mm_crc32_u64(wide, load_le<uint64_t>(at));
  crc = static_cast<uint32_t>(wide);
  for (; size > 0; at++, size--) crc = _mm_crc32_u8(crc, static_cast<uint8_t>(*at));
  return crc;
}
#endif

using Update = uint32_t (*)(uint32_t, const std::byte*, size_t);

Update best_update() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return update_by_sse;
#endif
  return update_by_table;
}

}  // namespace

uint32_t crc32c(uint32_t before, ByteView bytes) {
  static const Update update = best_update();
  return ~update(~before, bytes.data(), bytes.size());
}

uint32_t crc32c_by_table(uint32_t before, ByteView bytes) { return ~update_by_table(~before, bytes.data(), bytes.size()); }

uint32_t crc32c_join(uint32_t a, uint32_t b, size_t b_size) { return append_zeros(a, b_size) ^ b; }

}  // namespace tfs::format
