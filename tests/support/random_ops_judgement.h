// Whether a result is as it should be, and the end of the run where it is not.
#pragma once

#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "tests/support/random_ops_worker.h"

namespace tfs::support {

// Long runs of one byte as a{255}: for people to read.
inline std::string escaped(const std::string& bytes) {
  constexpr size_t kLongRun = 16;
  std::string out = "'";
  for (size_t at = 0, run; at < bytes.size(); at += run) {
    unsigned char c = static_cast<unsigned char>(bytes[at]);
    size_t same = std::min(bytes.find_first_not_of(bytes[at], at), bytes.size()) - at;
    run = same >= kLongRun ? same : 1;
    char printed[8];
    bool plain = c >= 0x20 && c < 0x7f && c != '\\' && c != '\'';
    snprintf(printed, sizeof printed, plain ? "%c" : "\\x%02x", c);
    out += printed;
    if (run > 1) out += "{" + std::to_string(run) + "}";
  }
  return out + "'";
}

inline std::string escaped(const Place& place) {
  return (place.by_path() ? "" : "descriptor " + std::to_string(place.dir) + " ") + escaped(place.path);
}

// One line, one write: several processes speak.
inline void say(const std::string& text) {
  std::string line = "random_ops: " + text + "\n";
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

inline void Worker::detail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(detail_, sizeof detail_, format, arguments);
  va_end(arguments);
}

inline std::string Worker::circumstances() const {
  std::string text = op_->name;
  if (!object_.path.empty()) text += " " + escaped(object_);
  if (!other_.path.empty()) text += " and " + escaped(other_);
  if (detail_[0] != 0) text += std::string(" (") + detail_ + ")";
  return text + ", operation " + std::to_string(number_) + " of worker " + std::to_string(id_) + " as user " +
         std::to_string(user_) + ", seed " + std::to_string(settings_.seed);
}

inline void Worker::fail(const std::string& what) {
  shared_.stop = true;
  say("fatal: " + what + ": " + circumstances());
  _exit(1);
}

inline bool Worker::step(const char* call, long result) { return result >= 0 || step_error(call, errno); }

inline bool Worker::step_error(const char* call, int error) {
  if (!explained(error)) {
    const char* known = strerrorname_np(error);
    fail(std::string(call) + " answers " + (known ? known : std::to_string(error)) + " (" + strerrordesc_np(error) + ")");
  }
  refused_ = true;
  refusal_ = error;
  if (error == ENOENT || error == ENOTDIR) {
    recent_.drop(object_);
    directories_.drop(object_);
  }
  return false;
}

// Where an O_DIRECT write of one worker meets a store of another in the same page, Linux may fail to drop the page, and
// leaves an EIO for the next fsync or msync of each descriptor, once (dio_warn_stale_pagecache, also on ext4). An EIO
// of the file system comes again.
inline bool Worker::sync_step(const char* call, const std::function<long()>& sync) {
  constexpr int kTries = 10;
  long result = sync();
  for (int tries = 1; tries < kTries && result < 0 && errno == EIO && !settings_.alone(); tries++) result = sync();
  return step(call, result);
}

inline void Worker::expect(bool holds, const char* what) {
  if (!holds) fail(std::string("wrong result: ") + what);
}

inline bool Worker::explained(int error) {
  static constexpr int kNormal[] = {ENOENT,     EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EBUSY,   EINVAL,       EXDEV,  ENODATA,
                                    EOPNOTSUPP, ENOSPC, EMLINK,  ELOOP,  ENXIO,     ETXTBSY, ENAMETOOLONG, ERANGE, EFBIG};
  if (std::ranges::count(kNormal, error) > 0) return true;
  for (int extra : op_->extra) {
    if (extra != 0 && error == extra) return true;
  }
  bool privileged_and_alone = settings_.alone() && !settings_.users && geteuid() == 0;
  switch (error) {
    // Alone, only a directory held open after its removal may answer so.
    case ESTALE: return !settings_.alone() || by_handle_;
    // With others about, a file may be append-only for a moment.
    case EPERM: return !privileged_and_alone;
    case EACCES: return !privileged_and_alone || sticky_or_special(object_) || sticky_or_special(other_);
    default: return false;
  }
}

// Root is refused, too, where fs.protected_regular, _fifos and _symlinks guard sticky directories that others may write
// to, and where a device lies on a mount with nodev. A symlink on the way may lead to such a place.
inline bool Worker::sticky_or_special(const Place& place) {
  if (!place.by_path()) return true;
  struct stat root;
  if (lstat(".", &root) == 0 && (root.st_mode & S_ISVTX) != 0) return true;
  for (size_t end = 0; end != std::string::npos;) {
    end = place.path.find('/', end + 1);
    struct stat found;
    if (lstat(place.path.substr(0, end).c_str(), &found) != 0) return false;
    bool guarded = S_ISDIR(found.st_mode) && (found.st_mode & S_ISVTX) != 0 && (found.st_mode & 0022) != 0;
    if (guarded || S_ISLNK(found.st_mode) || S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode)) return true;
  }
  return false;
}

}  // namespace tfs::support
