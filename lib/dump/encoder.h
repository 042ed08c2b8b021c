// Lines of JSON to a stream: the inverse of Dumper. It asks for bytes and never reads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/base/bytes.h"
#include "lib/base/result.h"

namespace tfs::dump {

// Each line is checked by itself: what it makes is a frame that readers take. That the frames follow each other is not checked,
// so that a stream with a gap, a swap or a frame too many can be made to see what a reader does with it.
class Encoder {
 public:
  Encoder();

  // Where the next bytes of the text go; never empty after next() has returned false.
  std::span<std::byte> space();
  void filled(size_t size);

  // Appends the frame of the next line. False where more bytes are needed. An error says in which line it is, and nothing may
  // be asked for behind it; what was appended before it is good.
  Result<bool> next(std::vector<std::byte>& out);

  // At the end of input: appends what a last line without a newline stands for. kTruncated where the stream has no END.
  Status finish(std::vector<std::byte>& out);

 private:
  Status take(std::string_view line, std::vector<std::byte>& out);
  std::string_view left() const { return as_text({buffer_.get() + begin_, end_ - begin_}); }

  std::unique_ptr<std::byte[]> buffer_;  // not zeroed: pages that no line needs are never touched
  size_t begin_ = 0, end_ = 0;           // of what is filled and not yet taken
  size_t searched_ = 0;                  // up to where no newline is
  uint64_t lines_ = 0;
  bool has_ended_ = false;
};

}  // namespace tfs::dump
