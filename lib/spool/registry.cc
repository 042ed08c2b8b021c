#include "lib/spool/registry.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "lib/base/escape.h"
#include "lib/spool/file_io.h"
#include "lib/sys/io.h"

namespace tfs::spool {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

Result<std::vector<std::string>> reader_names(const Dir& dir) {
  sys::Fd own = TFS_TRY(sys::open_at("spool.registry.opens", dir.readers_fd(), ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, CloseDir> stream(::fdopendir(own.get()));
  if (!stream) return system_error("spool.registry.lists", errno, "unable to list " + dir.shown(kReadersDir));
  own.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (is_reader_name(entry->d_name)) names.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) return system_error("spool.registry.list", errno, "unable to list " + dir.shown(kReadersDir));
  std::sort(names.begin(), names.end());
  return names;
}

// A reader's file that is empty is one that is being made, or it cannot be read: it is as good as one that holds everything.
std::optional<ReaderState> look_at(int at, const std::string& file, const std::string& name) {
  ReaderState reader{name, {}, false};
  Result<sys::Fd> fd = sys::open_at("spool.registry.look", at, file.c_str(), O_RDONLY | O_NOFOLLOW);
  if (!fd && fd.error().sys_errno == ENOENT) return {};  // it was dropped
  if (!fd) return reader;
  Result<std::optional<PlaceMark>> place = read_place("spool.registry.place", fd->get(), name);
  if (place && *place) reader.place = **place;
  reader.is_reading = ::flock(fd->get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  return reader;
}

}  // namespace

Result<TrimLock> TrimLock::take(const Dir& dir) {
  TrimLock lock;
  lock.fd_ = TFS_TRY(sys::open_at("spool.trim.open", dir.readers_fd(), ".", O_RDONLY | O_DIRECTORY));
  while (::flock(lock.fd_.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error("spool.trim.lock", errno, "unable to lock " + dir.shown(kReadersDir));
  }
  return lock;
}

Result<Registration> Registration::open_at(const Dir& dir, int at, const std::string& name, const std::string& shown) {
  Registration r;
  r.shown_ = shown;
  Result<sys::Fd> fd = sys::open_at("spool.registry.open", at, name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW, dir.file_mode());
  if (!fd) return system_error("spool.registry.open", fd.error().sys_errno, "unable to open " + shown);
  r.fd_ = std::move(*fd);
  // Somebody who lists the readers may hold it for a moment.
  for (int tries = 100; ::flock(r.fd_.get(), LOCK_EX | LOCK_NB) != 0; tries--) {
    if (errno != EWOULDBLOCK) return system_error("spool.registry.lock", errno, "unable to lock " + shown);
    if (tries == 0) return Error{Kind::kSystem, 0, "spool.registry.held", shown + " is in use by another process"};
    ::usleep(1000);
  }
  r.before_ = TFS_TRY(read_place("spool.registry.read", r.fd_.get(), "the place of " + shown));
  return r;
}

Status check_reader_name(const std::string& name) {
  if (is_reader_name(name)) return {};
  return usage_error("no name for a reader (A-Z a-z 0-9 . _ -, at most 64): '" + escape(name) + "'");
}

Result<Registration> Registration::open(const Dir& dir, const std::string& name) {
  TFS_TRY(check_reader_name(name));
  return open_at(dir, dir.readers_fd(), name, "the reader " + name + " of " + escape(dir.path()));
}

Result<Registration> Registration::open_output(const Dir& dir) {
  return open_at(dir, dir.fd(), kOutputFile, dir.shown(kOutputFile));
}

Status Registration::store(const Place& place, Mark mark) {
  Status status = sys::pwrite_all("spool.registry.store", fd_.get(), as_bytes(to_text({place, mark})), 0);
  if (status) return status;
  return system_error("spool.registry.store", status.error().sys_errno, "unable to write the place of " + shown_);
}

Result<std::vector<ReaderState>> list_readers(const Dir& dir) {
  std::vector<ReaderState> readers;
  std::optional<ReaderState> output = look_at(dir.fd(), kOutputFile, "");
  if (output && output->place.mark != Mark::kGone) readers.push_back(*output);
  for (const std::string& name : TFS_TRY(reader_names(dir))) {
    std::optional<ReaderState> reader = look_at(dir.readers_fd(), name, name);
    if (reader) readers.push_back(*reader);
  }
  return readers;
}

Status drop_reader(const Dir& dir, const std::string& name) {
  if (is_reader_name(name) && ::unlinkat(dir.readers_fd(), name.c_str(), 0) == 0) return {};
  if (!is_reader_name(name) || errno == ENOENT) return usage_error("no reader " + escape(name) + " in " + escape(dir.path()));
  return system_error("spool.registry.drop", errno, "unable to drop the reader " + name);
}

Status pull_readers_back(const Dir& dir, const Place& end) {
  for (const ReaderState& reader : TFS_TRY(list_readers(dir))) {
    const Place& place = reader.place.place;
    bool is_behind = place.index > end.index || (place.index == end.index && place.offset > end.offset);
    if (!is_behind || reader.is_reading) continue;
    Registration registration =
        TFS_TRY(reader.name.empty() ? Registration::open_output(dir) : Registration::open(dir, reader.name));
    TFS_TRY(registration.store(end, reader.place.mark));
  }
  return {};
}

Status drop_output(const Dir& dir) { return dir.remove("spool.output.drop", kOutputFile); }

uint64_t segment_before(const std::vector<Segment>& segments, const Place& place, uint64_t bytes) {
  uint64_t index = place.index, before = place.offset;
  for (auto segment = segments.rbegin(); segment != segments.rend() && before < bytes; ++segment) {
    if (segment->name.index >= place.index) continue;
    index = segment->name.index;
    before += segment->size;
  }
  return index;
}

std::optional<uint64_t> first_needed(const std::vector<ReaderState>& readers, const std::vector<Segment>& segments,
                                     uint64_t bytes, std::string& who) {
  std::optional<uint64_t> needed;
  for (const ReaderState& reader : readers) {
    uint64_t index = segment_before(segments, reader.place.place, bytes);
    if (needed && *needed <= index) continue;
    needed = index;
    who = reader.name.empty() ? "standard output" : reader.name;
  }
  return needed;
}

}  // namespace tfs::spool
