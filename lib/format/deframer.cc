#include "lib/format/deframer.h"

#include <algorithm>
#include <cstring>

namespace tfs::format {
namespace {

constexpr size_t kFill = size_t{128} << 10;  // at once: what is copied on is in the processor's nearer caches still

}  // namespace

Deframer::Deframer(size_t capacity) : buffer_(capacity) { TFS_CHECK(capacity >= 2 * kMaxFrame); }

std::span<std::byte> Deframer::space() {
  size_t held = end_ - begin_;
  // What is left of a fill goes to the front where it is the smaller part, so that all work is done on few pages, which stay in the
  // processor's cache. What comes behind it begins with a page (page_bytes.h).
  if (held <= begin_) {
    end_ = round_up(held, kPage);
    std::memmove(buffer_.data() + end_ - held, buffer_.data() + begin_, held);
    begin_ = end_ - held;
  }
  return {buffer_.data() + end_, std::min(kFill, buffer_.size() - end_)};
}

void Deframer::filled(size_t size) {
  TFS_CHECK(size <= buffer_.size() - end_);
  end_ += size;
}

Result<std::optional<Frame>> Deframer::next() {
  size_t held = end_ - begin_;
  if (held < kHeaderSize) return std::optional<Frame>();
  const std::byte* at = buffer_.data() + begin_;
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
