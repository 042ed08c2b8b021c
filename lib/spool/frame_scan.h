// Checks frames as their bytes go by, whole or in pieces, and keeps none of them: a frame of a megabyte needs no megabyte here.
// Only HELLO and GAP, which a router has to understand, are kept. Does no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lib/format/frame.h"

namespace tfs::spool {

class FrameScan {
 public:
  // Takes bytes off the front of `bytes`, at most to the end of the frame under way. True once that is whole and its checksum
  // holds; kCorrupt where it does not, or no frame begins so.
  Result<bool> take(ByteView& bytes);

  // Of the frame that take() made whole; of the one under way where that is past its header.
  const format::Header& header() const { return header_; }
  // The whole frame, of HELLO and GAP only.
  format::Frame kept() const { return {header_, kept_}; }

  size_t held() const { return is_whole_ ? 0 : held_; }  // bytes of the frame under way that were taken
  size_t missing() const;                                // bytes until its header is whole, or behind that until it is itself
  void reset() { held_ = 0, is_whole_ = false; }

 private:
  bool is_kept() const;
  Result<bool> take_header(ByteView& bytes);
  Status take_body(ByteView& bytes);
  Result<bool> take_whole(ByteView& bytes);

  std::array<std::byte, format::kHeaderSize> head_;
  format::Header header_;
  std::vector<std::byte> kept_;
  uint32_t sum_ = 0;
  size_t held_ = 0;
  bool is_whole_ = false;
};

}  // namespace tfs::spool
