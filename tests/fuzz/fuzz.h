// What the fuzzers share. Each of them is one function of bytes that aborts where something does not hold, so that the corpus
// can be replayed without a fuzzer (replay_main.cc). No byte of the input is a switch: streams and texts are seeds as they are.
#pragma once

#include "tests/support/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace tfs::fuzz {

inline ByteView view_of(const uint8_t* data, size_t size) { return std::as_bytes(std::span(data, size)); }

// The input with checksums that hold and padding that is zero, as far as its sizes go: what no fuzzer finds by trying.
inline test::Bytes sealed(ByteView input) {
  test::Bytes out = test::copy_of(input);
  std::span<std::byte> left(out);
  while (left.size() >= format::kHeaderSize) {
    format::Header header = format::load_header(left.data());
    if (!format::check_header(header) || header.stride() > left.size()) break;
    std::fill(left.begin() + header.size, left.begin() + static_cast<ptrdiff_t>(header.stride()), std::byte{0});
    test::seal(left.first(header.stride()));
    left = left.subspan(header.stride());
  }
  return out;
}

}  // namespace tfs::fuzz
