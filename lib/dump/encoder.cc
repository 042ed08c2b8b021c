#include "lib/dump/encoder.h"

#include <cstring>

#include "lib/dump/from_json.h"
#include "lib/format/frame.h"

namespace tfs::dump {
namespace {

// tfs_dump's own longest line is below 2 MiB: a byte of a name takes up to five characters, one of data 4/3. The rest is for
// programs that write the same JSON at greater length.
constexpr size_t kMaxLine = 4 * format::kMaxFrame;

}  // namespace

Encoder::Encoder() : buffer_(std::make_unique_for_overwrite<std::byte[]>(kMaxLine)) {}

std::span<std::byte> Encoder::space() {
  if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    searched_ -= begin_;
    begin_ = 0;
  }
  return {buffer_.get() + end_, kMaxLine - end_};
}

void Encoder::filled(size_t size) {
  TFS_CHECK(size <= kMaxLine - end_);
  end_ += size;
}

Result<bool> Encoder::next(std::vector<std::byte>& out) {
  size_t newline = left().find('\n', searched_ - begin_);
  if (newline == std::string_view::npos) {
    searched_ = end_;
    if (left().size() < kMaxLine) return false;
    return corrupt("line " + std::to_string(lines_ + 1) + ": longer than " + std::to_string(kMaxLine) + " bytes");
  }
  TFS_TRY(take(left().substr(0, newline), out));
  begin_ += newline + 1;
  searched_ = begin_;
  return true;
}

Status Encoder::finish(std::vector<std::byte>& out) {
  if (begin_ != end_) {
    Status status = take(left(), out);
    // Without its newline the line was perhaps cut: then that is what is wrong with it, and not the bytes that are there.
    if (!status) return truncated("line " + std::to_string(lines_) + ": the input breaks off inside of it");
    begin_ = end_;
  }
  if (!has_ended_) return truncated("the stream broke off after line " + std::to_string(lines_) + " (no END)");
  return {};
}

Status Encoder::take(std::string_view line, std::vector<std::byte>& out) {
  lines_++;
  size_t start = out.size();
  Status status = append_frame_of(line, out);
  if (!status) return corrupt("line " + std::to_string(lines_) + ": " + status.error().detail);
  has_ended_ = format::load_header(out.data() + start).type == format::RecordType::kEnd;
  return {};
}

}  // namespace tfs::dump
