#include "lib/spool/track.h"

#include "lib/format/decode.h"

namespace tfs::spool {

Result<Span> span_of(const format::Frame& frame) {
  Span span{frame.header.seq, frame.header.seq};
  if (frame.header.type == format::RecordType::kGap) {
    format::Record record = TFS_TRY(format::decode(frame));
    span.first = std::get<format::Gap>(record).first;
  }
  if (span.first == 0 || span.first > span.last) {
    return corrupt("frame with the impossible number " + std::to_string(span.last));
  }
  return span;
}

Result<format::Epoch> epoch_of(const format::Frame& frame) {
  format::Record record = TFS_TRY(format::decode(frame));
  const auto& hello = std::get<format::Hello>(record);
  if (hello.version != format::kVersion) {
    return mismatch("the stream is of version " + std::to_string(hello.version) + ", this program reads version " +
                    std::to_string(format::kVersion));
  }
  if (frame.header.seq != 0) return corrupt("HELLO with a number");
  if (hello.epoch.is_none()) return corrupt("HELLO without an epoch");
  return hello.epoch;
}

void Track::begin(const format::Epoch& epoch) {
  position_ = {epoch, 0};
  has_position_ = has_ended_ = false;
}

Status Track::take(const Span& span, format::RecordType type) {
  if (has_ended_) return corrupt("frame behind END");
  if (has_position_ && span.first != due()) {
    return corrupt("frame " + std::to_string(span.first) + " where " + std::to_string(due()) + " is due");
  }
  position_.seq = span.last;
  has_position_ = true;
  has_ended_ = type == format::RecordType::kEnd;
  return {};
}

}  // namespace tfs::spool
