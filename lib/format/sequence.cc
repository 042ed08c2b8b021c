#include "lib/format/sequence.h"

namespace tfs::format {

Status Sequence::take(const Frame& frame, const Record& record) {
  if (const auto* hello = std::get_if<Hello>(&record)) {
    if (hello->version != kVersion) {
      return mismatch("the stream is of version " + std::to_string(hello->version) + ", this program reads version " +
                      std::to_string(kVersion));
    }
    if (frame.header.seq != 0) return corrupt("HELLO with a number");
    if (hello->epoch.is_none()) return corrupt("HELLO without an epoch");
    if (!has_hello_ || hello->epoch != position_.epoch) {
      position_ = {hello->epoch, 0};
      has_position_ = has_ended_ = false;
    }
    has_hello_ = true;
    return {};
  }
  if (!has_hello_) return corrupt("the stream does not begin with HELLO");
  if (has_ended_) return corrupt("frame behind END");
  uint64_t seq = frame.header.seq, first = seq;
  if (const auto* gap = std::get_if<Gap>(&record)) first = gap->first;
  if (first == 0 || first > seq) return corrupt("frame with the impossible number " + std::to_string(seq));
  if (has_position_ && first != position_.seq + 1) {
    return corrupt("frame " + std::to_string(first) + " where " + std::to_string(position_.seq + 1) + " is due");
  }
  position_.seq = seq;
  has_position_ = true;
  has_ended_ = std::holds_alternative<End>(record);
  return {};
}

Status Sequence::finish() const {
  if (!has_hello_) return truncated("the stream is empty");
  if (!has_ended_) return truncated("the stream broke off after frame " + std::to_string(position_.seq) + " (no END)");
  return {};
}

}  // namespace tfs::format
