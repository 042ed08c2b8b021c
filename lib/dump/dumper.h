// A stream to lines of JSON. It asks for bytes and never reads.
#pragma once

#include <string>

#include "lib/format/deframer.h"
#include "lib/format/sequence.h"

namespace tfs::dump {

class Dumper {
 public:
  explicit Dumper(bool with_data = true) : with_data_(with_data) {}

  // Where the next bytes of the stream go, as Deframer's.
  std::span<std::byte> space() { return deframer_.space(); }
  void filled(size_t size) { deframer_.filled(size); }

  // Appends the line of the next frame. False where more bytes are needed. An error says at which byte of the stream it is,
  // and nothing may be asked for behind it; what was appended before it is good.
  Result<bool> next(std::string& out);

  // At the end of input: kTruncated where the stream broke off.
  Status finish(std::string& out) const;

 private:
  bool with_data_;
  format::Deframer deframer_;
  format::Sequence sequence_;
};

}  // namespace tfs::dump
