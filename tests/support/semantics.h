// How semantics speaks: each thing that it tries becomes a line "WHAT: ok" or "WHAT: EACCES", so that two runs in two
// places are compared by diff. Nothing that differs by nature (inode numbers, the time of day) is ever printed.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <linux/limits.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tfs::support {

// Who speaks: empty for root.
inline std::string& speaker() {
  static std::string name;
  return name;
}

__attribute__((format(printf, 1, 2))) inline void say(const char* format, ...) {
  if (!speaker().empty()) std::printf("[%s] ", speaker().c_str());
  va_list args;
  va_start(args, format);
  std::vprintf(format, args);
  va_end(args);
  std::putchar('\n');
}

// What a system call returned; true for success.
inline bool tell(const std::string& what, long result) {
  int error = errno;
  say("%s: %s", what.c_str(), result >= 0 ? "ok" : strerrorname_np(error));
  return result >= 0;
}

// The same where the number itself counts.
inline long count(const std::string& what, long result) {
  int error = errno;
  if (result >= 0) {
    say("%s: %ld", what.c_str(), result);
  } else {
    say("%s: %s", what.c_str(), strerrorname_np(error));
  }
  return result;
}

inline void is(const std::string& what, bool condition) { say("%s: %s", what.c_str(), condition ? "yes" : "NO"); }

// Preparation that has to work.
inline long must(const char* what, long result) {
  if (result >= 0) return result;
  say("unable to %s: %s", what, strerrorname_np(errno));
  std::fflush(stdout);
  std::_Exit(1);
}

inline std::string hex_of(std::string_view bytes) {
  std::string out;
  char two[3];
  for (unsigned char c : bytes) {
    std::snprintf(two, sizeof two, "%02x", c);
    out += two;
  }
  return out;
}

// A descriptor that is closed in the end.
class File {
 public:
  File(const char* path, int flags, mode_t mode = 0644) : fd_(::open(path, flags | O_CLOEXEC, mode)) {}
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }
  operator int() const { return fd_; }  // NOLINT: used as one everywhere
  void close() {
    int saved = errno;
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    errno = saved;
  }

 private:
  int fd_;
};

// With what the umask leaves of `mode`; fails in silence.
inline void create_file(const std::string& path, mode_t mode) { File file(path.c_str(), O_WRONLY | O_CREAT, mode); }

inline void make_file(const char* path, std::string_view text = "", mode_t mode = 0644) {
  File f(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  must(path, f);
  if (!text.empty()) must(path, ::write(f, text.data(), text.size()));
  must(path, ::fchmod(f, mode));
}

inline std::string content_of(const char* path) {
  File f(path, O_RDONLY);
  if (f < 0) return std::string("<") + strerrorname_np(errno) + ">";
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = ::read(f, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(n));
  return out;
}

// The extended attributes, short ones with their values; what a security module adds is left out.
inline std::string xattrs_of(const char* path) {
  std::vector<char> names(XATTR_LIST_MAX), value(XATTR_SIZE_MAX);
  ssize_t size = ::llistxattr(path, names.data(), names.size());
  std::vector<std::string> found;
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(std::strlen(&names[static_cast<size_t>(at)])) + 1) {
    found.emplace_back(&names[static_cast<size_t>(at)]);
  }
  std::sort(found.begin(), found.end());
  std::string out;
  for (const std::string& name : found) {
    if (name == "security.selinux") continue;
    ssize_t n = ::lgetxattr(path, name.c_str(), value.data(), value.size());
    out += " " + name + "=";
    if (n < 0) {
      out += strerrorname_np(errno);
    } else if (n <= 64) {
      out += hex_of({value.data(), static_cast<size_t>(n)});
    } else {
      out += "(" + std::to_string(n) + " bytes)";
    }
  }
  return out;
}

// What stat(2) says of a path, as far as it is the same everywhere.
inline void show(const char* path) {
  struct stat st;
  if (::lstat(path, &st) != 0) {
    say("%s: %s", path, strerrorname_np(errno));
    return;
  }
  bool is_device = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
  std::string size;
  if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) size = " size " + std::to_string(st.st_size);
  if (is_device) size = " device " + std::to_string(major(st.st_rdev)) + ":" + std::to_string(minor(st.st_rdev));
  std::string links = S_ISDIR(st.st_mode) ? "" : " links " + std::to_string(st.st_nlink);
  say("%s: %06o %u:%u%s%s%s", path, st.st_mode, st.st_uid, st.st_gid, links.c_str(), size.c_str(), xattrs_of(path).c_str());
}

// ---- other processes

// Runs `f` in a child and waits for it.
template <class F>
void apart(F f) {
  std::fflush(stdout);
  pid_t child = ::fork();
  must("fork", child);
  if (child == 0) {
    f();
    std::fflush(stdout);
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) say("a process died of %s", sigabbrev_np(WTERMSIG(status)));
}

struct User {
  const char* name;
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};

inline const User kAnn{"ann", 1001, 1001, {}};
inline const User kBob{"bob", 1002, 1002, {}};
inline const User kBobInGroup{"bob in 2000", 1002, 1002, {2000, 2001}};
inline const User kAnnInGroup{"ann in 2000", 1001, 1001, {2000}};

template <class F>
void as(const User& user, F f) {
  apart([&] {
    speaker() = user.name;
    must("set groups", ::setgroups(user.groups.size(), user.groups.data()));
    must("set gid", ::setresgid(user.gid, user.gid, user.gid));
    must("set uid", ::setresuid(user.uid, user.uid, user.uid));
    ::prctl(PR_SET_DUMPABLE, 1);  // or /proc/self/fd belongs to root
    f();
  });
}

// Two processes that take turns: one writes a letter, the other waits for it.
class Turns {
 public:
  Turns() { must("make a pipe", ::pipe(ends_)); }
  ~Turns() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void give() { must("give the turn", ::write(ends_[1], "x", 1)); }
  void wait() {
    char c;
    must("wait for the turn", ::read(ends_[0], &c, 1));
  }

 private:
  int ends_[2];
};

// "/proc/self/fd/N"
inline std::string magic_link(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

}  // namespace tfs::support
