#include "lib/spool/dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "lib/base/escape.h"
#include "lib/spool/file_io.h"
#include "lib/sys/io.h"

namespace tfs::spool {
namespace {

constexpr char kFormatNew[] = "format.new";

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

Result<std::vector<std::string>> names_in(const char* op, int fd, const std::string& path) {
  sys::Fd own = TFS_TRY(sys::open_at(op, fd, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, CloseDir> dir(::fdopendir(own.get()));
  if (!dir) return system_error(op, errno, "unable to list " + escape(path));
  own.release();
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr && errno != 0) return system_error(op, errno, "unable to list " + escape(path));
    if (entry == nullptr) return names;
    names.emplace_back(entry->d_name);
  }
}

}  // namespace

std::string Dir::shown(const std::string& name) const { return escape(path_ + "/" + name); }

Result<Dir> Dir::look_into(const std::string& path) {
  Dir dir;
  dir.path_ = path;
  dir.fd_ = TFS_TRY(sys::open_at("spool.dir.open", AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY));
  struct stat st;
  if (::fstat(dir.fd_.get(), &st) != 0) return system_error("spool.dir.stat", errno, "unable to read " + escape(path));
  dir.mode_ = 0600 | (st.st_mode & 0066);
  return dir;
}

Result<Dir> Dir::open(const std::string& path) {
  Dir dir = TFS_TRY(look_into(path));
  TFS_TRY(dir.check_format());
  dir.readers_ = TFS_TRY(dir.open_file("spool.dir.readers", kReadersDir, O_RDONLY | O_DIRECTORY));
  return dir;
}

Result<Dir> Dir::make(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error("spool.dir.mkdir", errno, "unable to make " + escape(path));
  }
  Dir dir = TFS_TRY(look_into(path));
  if (::faccessat(dir.fd(), kFormatFile, F_OK, 0) != 0) {
    if (errno != ENOENT) return system_error("spool.dir.look_for", errno, "unable to read " + dir.shown(kFormatFile));
    TFS_TRY(dir.refuse_others_files());
    TFS_TRY(dir.make_files());
  }
  return open(path);
}

Status Dir::check_format() const {
  Result<std::string> text = sys::read_file("spool.dir.format", fd(), kFormatFile, 256);
  if (!text && text.error().sys_errno == ENOENT) return usage_error(escape(path_) + " is no spool");
  if (!text) return std::move(text).error();
  if (*text == kFormatText) return {};
  if (!text->starts_with("tfs-spool ")) return usage_error(escape(path_) + " is no spool");
  text->erase(std::min(text->find('\n'), text->size()));
  return usage_error(escape(path_) + " is a spool of another version (" + escape(*text) + "): use the program that made it");
}

// Where making it was broken off, our own files are there; anything else is somebody's who gave the wrong name.
Status Dir::refuse_others_files() const {
  for (const std::string& name : TFS_TRY(names_in("spool.dir.look", fd(), path_))) {
    constexpr std::string_view ours[] = {".", "..", kLockFile, kEndFile, kReadersDir, kFormatNew, "lost+found"};
    if (std::find(std::begin(ours), std::end(ours), name) == std::end(ours)) {
      return usage_error(escape(path_) + " is no spool, and is not empty");
    }
  }
  return {};
}

// "format" comes last: with it the spool is whole.
Status Dir::make_files() const {
  for (const char* name : {kLockFile, kEndFile}) TFS_TRY(open_file("spool.dir.create", name, O_RDWR | O_CREAT));
  sys::Fd end = TFS_TRY(open_file("spool.dir.end", kEndFile, O_RDWR));
  TFS_TRY(write_place("spool.dir.end", kEndFile, end.get(), {}));
  if (::mkdirat(fd(), kReadersDir, 0100 | mode_ | (mode_ & 0044) >> 2) != 0 && errno != EEXIST) {
    return system_error("spool.dir.mkdirat", errno, "unable to make " + shown(kReadersDir));
  }
  sys::Fd format = TFS_TRY(open_file("spool.dir.new", kFormatNew, O_WRONLY | O_CREAT | O_TRUNC));
  TFS_TRY(sys::write_all("spool.dir.write", format.get(), as_bytes(kFormatText)));
  if (::fsync(format.get()) != 0) return system_error("spool.dir.fsync", errno, "unable to put on disk " + shown(kFormatNew));
  TFS_TRY(rename("spool.dir.rename", kFormatNew, kFormatFile));
  TFS_TRY(sync("spool.dir.sync"));
  // The name of the spool itself, where we may open what it is in.
  sys::Fd above(::openat(fd(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!above.is_open() || ::fsync(above.get()) == 0) return {};
  return system_error("spool.dir.above", errno, "unable to put on disk what " + escape(path_) + " is in");
}

Result<std::vector<Segment>> Dir::segments() const {
  std::vector<Segment> found;
  for (const std::string& name : TFS_TRY(names_in("spool.segments.list", fd(), path_))) {
    std::optional<SegmentName> parsed = parse_segment_name(name);
    if (!parsed) continue;
    struct stat st;
    if (::fstatat(fd(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // it was trimmed, or got its number, at this moment
      return system_error("spool.segments.stat", errno, "unable to read " + shown(name));
    }
    found.push_back({*parsed, static_cast<uint64_t>(st.st_size), (st.st_mode & 0200) == 0, st.st_mtime});
  }
  std::sort(found.begin(), found.end(), [](const Segment& a, const Segment& b) { return a.name.index < b.name.index; });
  // While a segment gets its number, both names may have been seen.
  auto same = [](const Segment& a, const Segment& b) { return a.name.index == b.name.index; };
  found.erase(std::unique(found.begin(), found.end(), same), found.end());
  return found;
}

Result<sys::Fd> Dir::open_file(const char* op, const std::string& name, int flags) const {
  Result<sys::Fd> file = sys::open_at(op, fd(), name.c_str(), flags | O_NOFOLLOW, mode_);
  if (file) return file;
  return system_error(op, file.error().sys_errno, "unable to open " + shown(name));
}

Result<uint64_t> Dir::size_of(const char* op, const std::string& name, int file) const {
  struct stat st;
  if (::fstat(file, &st) != 0) return system_error(op, errno, "unable to read " + shown(name));
  return static_cast<uint64_t>(st.st_size);
}

Status Dir::truncate(const char* op, const std::string& name, int file, uint64_t size) const {
  if (::ftruncate(file, static_cast<off_t>(size)) != 0) return system_error(op, errno, "unable to cut " + shown(name));
  return {};
}

Status Dir::rename(const char* op, const std::string& from, const std::string& to) const {
  if (::renameat(fd(), from.c_str(), fd(), to.c_str()) == 0) return {};
  return system_error(op, errno, "unable to rename " + shown(from) + " to " + escape(to));
}

Status Dir::remove(const char* op, const std::string& name) const {
  if (::unlinkat(fd(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  return system_error(op, errno, "unable to remove " + shown(name));
}

Status Dir::sync(const char* op) const {
  if (::fsync(fd()) == 0) return {};
  return system_error(op, errno, "unable to put " + escape(path_) + " on disk");
}

Status Dir::write_place(const char* op, const std::string& name, int file, const PlaceMark& place) const {
  Status status = sys::pwrite_all(op, file, as_bytes(to_text(place)), 0);
  if (status) return status;
  return system_error(op, status.error().sys_errno, "unable to write " + shown(name));
}

std::optional<PlaceMark> Dir::read_place(const std::string& name) const {
  Result<sys::Fd> file = open_file("spool.place.open", name, O_RDONLY);
  if (!file) return {};
  Result<std::optional<PlaceMark>> place = spool::read_place("spool.place.read", file->get(), shown(name));
  return place ? *place : std::nullopt;
}

}  // namespace tfs::spool
