#include "lib/format/deframer.h"

#include <cstring>

namespace tfs::format {

Deframer::Deframer(size_t capacity) : capacity_(capacity), buffer_(std::make_unique_for_overwrite<std::byte[]>(capacity)) {
  TFS_CHECK(capacity >= 2 * kMaxFrame);
}

std::span<std::byte> Deframer::space() {
  // Moving a partial frame to the front costs at most one copy of what is left behind each fill of half the buffer.
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ >= capacity_ / 2) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void Deframer::filled(size_t size) {
  TFS_CHECK(size <= capacity_ - end_);
  end_ += size;
}

Result<std::optional<Frame>> Deframer::next() {
  size_t held = end_ - begin_;
  if (held < kHeaderSize) return std::optional<Frame>();
  const std::byte* at = buffer_.get() + begin_;
  Header header = load_header(at);
  TFS_TRY(check_header(header));
  if (held < header.stride()) return std::optional<Frame>();
  Frame frame{header, {at, header.stride()}};
  TFS_TRY(check_frame(frame));
  begin_ += header.stride();
  offset_ += header.stride();
  return std::optional<Frame>(frame);
}

Status Deframer::finish() const {
  if (begin_ != end_) {
    return truncated("the stream breaks off inside the frame at byte " + std::to_string(offset_));
  }
  return {};
}

}  // namespace tfs::format
