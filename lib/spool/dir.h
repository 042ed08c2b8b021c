// The directory of a spool: made, opened, listed. The only place that knows where its files are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/spool/layout.h"
#include "lib/sys/fd.h"

namespace tfs::spool {

struct Segment {
  SegmentName name;
  uint64_t size = 0;
  bool is_finished = false;  // nothing is added any more, and as far as --sync goes it is on disk
  int64_t modified_sec = 0;
};

class Dir {
 public:
  // A spool that is there. kUsage where `path` is something else, or of another version.
  static Result<Dir> open(const std::string& path);
  // The same, made where there is none.
  static Result<Dir> make(const std::string& path);

  int fd() const { return fd_.get(); }
  int readers_fd() const { return readers_.get(); }
  const std::string& path() const { return path_; }
  std::string shown(const std::string& name) const;  // for messages

  // In order. Read anew each time: another process may write.
  Result<std::vector<Segment>> segments() const;

  // The operations on files in it, with messages that name them.
  Result<sys::Fd> open_file(const char* op, const std::string& name, int flags) const;
  Result<uint64_t> size_of(const char* op, const std::string& name, int fd) const;
  Status truncate(const char* op, const std::string& name, int fd, uint64_t size) const;
  Status rename(const char* op, const std::string& from, const std::string& to) const;
  Status remove(const char* op, const std::string& name) const;  // fine if it is not there
  Status sync(const char* op) const;
  Status write_place(const char* op, const std::string& name, int fd, const PlaceMark& place) const;

  // What the small file `name` holds; nothing where it is missing or holds something else.
  std::optional<PlaceMark> read_place(const std::string& name) const;

  unsigned file_mode() const { return mode_; }  // of files in it: what the directory allows

 private:
  static Result<Dir> look_into(const std::string& path);
  Status check_format() const;
  Status make_files() const;
  Status refuse_others_files() const;

  std::string path_;
  sys::Fd fd_, readers_;
  unsigned mode_ = 0600;
};

}  // namespace tfs::spool
