#include "lib/dump/dumper.h"

#include "lib/dump/to_json.h"

namespace tfs::dump {
namespace {

Error at_byte(uint64_t offset, Error error) {
  error.detail = "at byte " + std::to_string(offset) + ": " + error.detail;
  return error;
}

}  // namespace

Result<bool> Dumper::next(std::string& out) {
  uint64_t offset = deframer_.offset();
  Result<std::optional<format::Frame>> next = deframer_.next();
  if (!next) return at_byte(offset, next.error());
  if (!next->has_value()) return false;
  const format::Frame& frame = **next;

  // A frame of a type that has no name here is kept, as routers keep it. For the sequence it is one like any other.
  bool is_known = !format::name_of(frame.header.type).empty();
  Result<format::Record> record = is_known ? format::decode(frame) : format::Record(format::Forget{});
  if (!record) return at_byte(offset, record.error());
  Status status = sequence_.take(frame, *record);
  if (!status) return at_byte(offset, status.error());
  append_line(frame, is_known ? &*record : nullptr, with_data_, out);
  return true;
}

Status Dumper::finish(std::string&) const {
  TFS_TRY(deframer_.finish());
  Status status = sequence_.finish();
  if (!status) return at_byte(deframer_.offset(), status.error());
  return {};
}

}  // namespace tfs::dump
