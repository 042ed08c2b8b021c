#include "lib/spool/output.h"

#include <cerrno>

#include "lib/sys/message.h"

namespace tfs::spool {
Result<Reader> resume_reader(const Dir& dir, const PlaceMark& before) {
  if (before.mark == Mark::kDone) return Reader::from_place(dir, before.place);
  return Reader::from_segment(dir, segment_before(TFS_TRY(dir.segments()), before.place, kUnderWay));
}

Result<Reader> output_start(const Dir& dir, const Writer& writer, const std::optional<PlaceMark>& before) {
  if (!before) return Reader::from_place(dir, writer.end().place);
  Result<Reader> reader = resume_reader(dir, *before);
  // After a power cut the spool may end before what was given out.
  if (!reader && reader.error().kind == Kind::kMismatch) return Reader::from_place(dir, writer.end().place);
  return reader;
}

Output::Output(const Dir& dir, Reader reader, Registration registration, int fd, std::function<void()> on_failure)
    : reader_(std::move(reader)),
      registration_(std::move(registration)),
      pump_(reader_, dir, fd, &registration_),
      on_failure_(std::move(on_failure)) {}

Output::~Output() {
  if (thread_.joinable()) thread_.detach();  // the process is about to end; it may wait for its reader for ever
}

Status Output::start() {
  TFS_TRY(over_.open());
  TFS_TRY(pump_.mark(Mark::kOpen));
  thread_ = std::thread([this] { run(); });
  return {};
}

Status Output::finish() {
  over_.set();
  thread_.join();
  return status_;
}

void Output::run() noexcept {
  status_ = give_out();
  if (!status_) on_failure_();
}

Status Output::give_out() {
  Status status = pump_.follow(&over_);
  if (status) return pump_.mark(pump_.is_read() ? Mark::kDone : Mark::kGone);
  if (status.error().sys_errno != EPIPE) return status;
  sys::warn("nobody reads standard output any more: spooling goes on");
  return pump_.mark(Mark::kGone);
}

}  // namespace tfs::spool
