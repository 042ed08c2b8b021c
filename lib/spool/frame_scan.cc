#include "lib/spool/frame_scan.h"

#include <algorithm>

#include "lib/format/crc32c.h"
#include "lib/format/endian.h"

namespace tfs::spool {
namespace {

constexpr size_t kMaxKept = size_t{16} << 10;  // more than a HELLO with both of its texts in full length
static_assert(kMaxKept > 2 * format::kMaxText + 4 * format::kHeaderSize);

ByteView take_front(ByteView& bytes, size_t most) {
  ByteView front = bytes.first(std::min(most, bytes.size()));
  bytes = bytes.subspan(front.size());
  return front;
}

}  // namespace

bool FrameScan::is_kept() const { return header_.type == format::RecordType::kHello || header_.type == format::RecordType::kGap; }

size_t FrameScan::missing() const {
  size_t have = held();
  return have < format::kHeaderSize ? format::kHeaderSize - have : header_.stride() - have;
}

Result<bool> FrameScan::take(ByteView& bytes) {
  if (is_whole_) reset();
  if (held_ == 0 && bytes.size() >= format::kHeaderSize) {
    header_ = format::load_header(bytes.data());
    TFS_TRY(format::check_header(header_));
    if (!is_kept() && bytes.size() >= header_.stride()) return take_whole(bytes);
  }
  if (held_ < format::kHeaderSize && !TFS_TRY(take_header(bytes))) return false;
  TFS_TRY(take_body(bytes));
  if (held_ < header_.stride()) return false;
  if (sum_ != header_.checksum) return corrupt("checksum does not match");
  is_whole_ = true;
  return true;
}

// The frame lies in front in one piece, as small ones nearly always do: nothing has to be carried over.
Result<bool> FrameScan::take_whole(ByteView& bytes) {
  TFS_TRY(format::check_frame({header_, take_front(bytes, header_.stride())}));
  is_whole_ = true;
  return true;
}

Result<bool> FrameScan::take_header(ByteView& bytes) {
  ByteView part = take_front(bytes, format::kHeaderSize - held_);
  std::copy(part.begin(), part.end(), head_.begin() + static_cast<ptrdiff_t>(held_));
  held_ += part.size();
  if (held_ < format::kHeaderSize) return false;
  header_ = format::load_header(head_.data());
  TFS_TRY(format::check_header(header_));
  if (is_kept() && header_.size > kMaxKept) return corrupt("HELLO or GAP of " + std::to_string(header_.size) + " bytes");
  kept_.assign(head_.begin(), is_kept() ? head_.end() : head_.begin());
  format::store_le<uint32_t>(head_.data() + 8, 0);
  sum_ = format::crc32c(0, head_);
  return true;
}

Status FrameScan::take_body(ByteView& bytes) {
  ByteView payload = take_front(bytes, header_.size - std::min<size_t>(held_, header_.size));
  ByteView padding = take_front(bytes, header_.stride() - held_ - payload.size());
  sum_ = format::crc32c(sum_, payload);
  held_ += payload.size() + padding.size();
  if (is_kept()) {
    kept_.insert(kept_.end(), payload.begin(), payload.end());
    kept_.insert(kept_.end(), padding.begin(), padding.end());
  }
  if (std::any_of(padding.begin(), padding.end(), [](std::byte b) { return b != std::byte{0}; })) {
    return corrupt("padding is not zero");
  }
  return {};
}

}  // namespace tfs::spool
