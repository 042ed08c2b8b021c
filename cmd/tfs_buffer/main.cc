// tfs_buffer: a stream on disk, from there to standard output, and to any number of readers.

#include <unistd.h>

#include <csignal>
#include <memory>

#include "cmd/tfs_buffer/options.h"
#include "cmd/tfs_buffer/spooling.h"
#include "lib/base/escape.h"
#include "lib/cli/main_guard.h"
#include "lib/spool/output.h"
#include "lib/spool/status.h"
#include "lib/sys/io.h"
#include "lib/sys/process.h"

namespace tfs::buffer {
namespace {

Result<spool::Reader> begin_reading(const Options& options, const spool::Dir& dir,
                                    const std::optional<spool::PlaceMark>& before) {
  if (options.from == Options::From::kPosition) return spool::Reader::from_position(dir, options.position);
  if (options.from == Options::From::kOldest || !before || before->place.index == 0) return spool::Reader::from_segment(dir);
  return spool::resume_reader(dir, *before);
}

// A name that was never read under must not hold anything.
Error not_begun(const Options& options, const spool::Dir& dir, const std::optional<spool::PlaceMark>& before, Error why) {
  if (!options.reader.empty() && !before) static_cast<void>(spool::drop_reader(dir, options.reader).ok());
  return why;
}

Status read(const Options& options) {
  if (sys::is_terminal(STDOUT_FILENO)) return usage_error("the stream is not for a terminal: send it to a file or a pipe");
  spool::Dir dir = TFS_TRY(spool::Dir::open(options.path));
  std::optional<spool::Registration> registration;
  std::optional<spool::TrimLock> lock;
  std::optional<spool::PlaceMark> before;
  if (!options.reader.empty()) {
    lock.emplace(TFS_TRY(spool::TrimLock::take(dir)));
    registration.emplace(TFS_TRY(spool::Registration::open(dir, options.reader)));
    before = registration->before();
  }
  Result<spool::Reader> begun = begin_reading(options, dir, before);
  if (!begun) return not_begun(options, dir, before, std::move(begun).error());
  spool::Reader reader = std::move(begun).value();
  spool::Pump pump(reader, dir, STDOUT_FILENO, registration ? &*registration : nullptr);
  Status registered = pump.mark(spool::Mark::kOpen);
  if (!registered) return not_begun(options, dir, before, std::move(registered).error());
  lock.reset();
  TFS_TRY(options.follows ? pump.follow() : pump.run());
  TFS_TRY(pump.mark(spool::Mark::kDone));
  if (reader.has_ended()) return {};
  if (reader.position().epoch.is_none()) return truncated(escape(options.path) + " is empty");
  return truncated(escape(options.path) + " ends with " + to_text(reader.position()) + ", without END");
}

Status print(const std::string& text) { return sys::write_all("buffer.print.write", STDOUT_FILENO, as_bytes(text)); }

Status show(const Options& options) {
  spool::Dir dir = TFS_TRY(spool::Dir::open(options.path));
  spool::SpoolStatus status = TFS_TRY(spool::look_at(dir));
  if (options.mode == Options::Mode::kStatus) return print(options.is_json ? to_json(status) : to_text(status));
  return print(options.is_json ? readers_json(status) + "\n" : readers_text(status));
}

Status run(int argc, char** argv) {
  Options options;
  TFS_TRY(parse(argc, argv, options));
  if (options.is_done) return {};
  switch (options.mode) {
    case Options::Mode::kSpool: return spool_input(options);
    case Options::Mode::kRead: return read(options);
    case Options::Mode::kStatus:
    case Options::Mode::kReaders: return show(options);
    case Options::Mode::kDropReader: return spool::drop_reader(TFS_TRY(spool::Dir::open(options.path)), options.reader);
  }
  return {};
}

}  // namespace
}  // namespace tfs::buffer

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_buffer", tfs::buffer::run, argc, argv); }
