// Steps through a segment from header to header, without looking at what lies between: finding a number in 64 MiB of large frames
// costs a read for each of them, of small ones a read for each 64 KiB.
#pragma once

#include <cstdint>
#include <optional>

#include "lib/base/page_bytes.h"
#include "lib/spool/track.h"

namespace tfs::spool {

struct HopFrame {
  uint64_t offset = 0, end = 0;  // in the file
  format::RecordType type{};
  Span span;  // of HELLO: zeros
};

class Hop {
 public:
  // Through a segment of `epoch` from its beginning up to `limit`. `shown` names the file in messages.
  Hop(int fd, std::string shown, const format::Epoch& epoch, uint64_t limit);

  // The next frame that is whole before the limit, or before a HELLO of another epoch; nothing where there is none.
  // Checksums are not checked.
  Result<std::optional<HopFrame>> next();

 private:
  Result<ByteView> at(uint64_t offset, size_t size);
  Result<bool> is_own_hello(const format::Header& header);

  int fd_;
  std::string shown_;
  format::Epoch epoch_;
  uint64_t offset_ = 0, limit_;
  PageBytes block_;
  uint64_t block_offset_ = 0;
  size_t block_size_ = 0;
};

// The end of a segment's frames as far as headers tell, and what is due there. `first` is the number in its name.
struct SegmentEnd {
  uint64_t offset = 0, hello_size = 0;
  Track track;
};
Result<SegmentEnd> end_of_segment(int fd, const std::string& shown, const format::Epoch& epoch, uint64_t first, uint64_t limit);

}  // namespace tfs::spool
