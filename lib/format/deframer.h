// Whole frames out of any split of a stream. It asks for bytes and never reads; it knows no record.
#pragma once

#include <cstdint>
#include <optional>

#include "lib/base/page_bytes.h"
#include "lib/format/frame.h"

namespace tfs::format {

class Deframer {
 public:
  // Holds at most `capacity` bytes, which is at least two whole frames.
  explicit Deframer(size_t capacity = 2 * kMaxFrame);

  // Where the next bytes of the stream go; never empty after next() has returned nothing. Ends what frames pointed at.
  std::span<std::byte> space();
  void filled(size_t size);  // that many of space() were

  // The next whole frame, checked by checksum; nothing where more bytes are needed. Its views hold until space().
  // kCorrupt once the bytes are no stream: then for ever, for there is no resynchronisation inside a stream.
  Result<std::optional<Frame>> next();

  // At the end of input: kTruncated where it ends inside a frame.
  Status finish() const;

  uint64_t offset() const { return offset_; }  // of the next frame in the stream

 private:
  PageBytes buffer_;
  size_t begin_ = 0, end_ = 0;  // of what is filled and not yet given out
  uint64_t offset_ = 0;
};

}  // namespace tfs::format
