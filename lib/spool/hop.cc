#include "lib/spool/hop.h"

#include <algorithm>

#include "lib/spool/file_io.h"

namespace tfs::spool {
namespace {

constexpr size_t kBlock = size_t{64} << 10;
constexpr size_t kMost = size_t{64};  // of one frame that is looked at: a header, or a whole GAP

}  // namespace

Hop::Hop(int fd, std::string shown, const format::Epoch& epoch, uint64_t limit)
    : fd_(fd), shown_(std::move(shown)), epoch_(epoch), limit_(limit), block_(kBlock) {}

// The bytes at `offset`, fewer where the file or the limit ends.
Result<ByteView> Hop::at(uint64_t offset, size_t size) {
  if (offset < block_offset_ || offset + size > block_offset_ + block_size_) {
    block_offset_ = offset;
    block_size_ = TFS_TRY(read_at("spool.hop.read", fd_, shown_, offset, block_));
  }
  size_t skip = offset - block_offset_;
  size_t there = std::min<uint64_t>(block_size_ - std::min(skip, block_size_), limit_ - std::min(limit_, offset));
  return ByteView(block_).subspan(skip, std::min(there, size));
}

Result<bool> Hop::is_own_hello(const format::Header& header) {
  ByteView bytes = TFS_TRY(at(offset_, std::min(header.stride(), kBlock)));
  if (bytes.size() < header.stride())
    return damaged(shown_, offset_, corrupt("HELLO of " + std::to_string(header.size) + " bytes"));
  Result<format::Epoch> epoch = epoch_of({header, bytes});
  if (!epoch) return damaged(shown_, offset_, epoch.error());
  return *epoch == epoch_;
}

Result<std::optional<HopFrame>> Hop::next() {
  ByteView head = TFS_TRY(at(offset_, kMost));
  if (head.size() < format::kHeaderSize) return std::optional<HopFrame>();
  format::Header header = format::load_header(head.data());
  Status status = format::check_header(header);
  if (!status) return damaged(shown_, offset_, status.error());
  if (offset_ + header.stride() > limit_) return std::optional<HopFrame>();
  HopFrame frame{offset_, offset_ + header.stride(), header.type, {}};
  if (header.type == format::RecordType::kHello) {
    if (!TFS_TRY(is_own_hello(header))) return std::optional<HopFrame>();
  } else {
    Result<Span> span = span_of({header, head.first(std::min(head.size(), header.stride()))});
    if (!span) return damaged(shown_, offset_, span.error());
    frame.span = *span;
  }
  offset_ = frame.end;
  return std::optional<HopFrame>(frame);
}

Result<SegmentEnd> end_of_segment(int fd, const std::string& shown, const format::Epoch& epoch, uint64_t first, uint64_t limit) {
  SegmentEnd end;
  end.track.begin(epoch);
  if (first > 0) end.track.expect(first);
  Hop hop(fd, shown, epoch, limit);
  while (true) {
    std::optional<HopFrame> frame = TFS_TRY(hop.next());
    if (!frame) return end;
    if (frame->type != format::RecordType::kHello) {
      Status status = end.track.take(frame->span, frame->type);
      if (!status) return damaged(shown, frame->offset, status.error());
    }
    if (end.offset == 0) end.hello_size = frame->end;
    end.offset = frame->end;
  }
}

}  // namespace tfs::spool
