#include "lib/journal/places.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"
#include "lib/sys/unix_socket.h"

namespace tfs::journal {
namespace {

Result<std::string> real_directory(const char* op, const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) return system_error(op, errno, "unable to find " + escape(path));
  struct stat st;
  if (::stat(resolved, &st) != 0) return system_error(op, errno, "unable to read " + escape(path));
  if (!S_ISDIR(st.st_mode)) return usage_error(escape(path) + " is not a directory");
  return std::string(resolved);
}

bool is_below(const std::string& path, const std::string& top) {
  return path == top || path.starts_with(top == "/" ? top : top + "/");
}

void unmount_stale(const std::string& path) {
  sys::warn(escape(path) + " is a mount whose server has died: cleaned up");
  if (::umount2(path.c_str(), MNT_DETACH) != 0) unmount_as_user(path);
}

Status refuse_inside(int fd, const Places& places) {
  char target[PATH_MAX];
  ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
  if (n <= 0) return {};
  std::string path(target, static_cast<size_t>(n));
  if (path[0] == '/' && (is_below(path, places.mountpoint) || is_below(path, places.store))) {
    return usage_error("the output " + escape(path) + " lies inside of what is journaled");
  }
  return {};
}

}  // namespace

void unmount_as_user(const std::string& path) {
  const char* argv[] = {"fusermount3", "-u", "-z", path.c_str(), nullptr};
  pid_t child;
  if (::posix_spawnp(&child, argv[0], nullptr, nullptr, const_cast<char**>(argv), environ) == 0) ::waitpid(child, nullptr, 0);
}

Result<Places> find_places(const std::string& store, const std::string& mountpoint) {
  Places places;
  places.store = TFS_TRY(real_directory("journal.places.store", store));
  // statfs, for what stat asks for the kernel may remember long after the server has died. Killed runs may lie one on another.
  struct statfs fs;
  for (int i = 0; i < 10 && ::statfs(mountpoint.c_str(), &fs) != 0 && errno == ENOTCONN; i++) unmount_stale(mountpoint);
  places.mountpoint = TFS_TRY(real_directory("journal.places.mountpoint", mountpoint));
  if (is_below(places.store, places.mountpoint) || is_below(places.mountpoint, places.store)) {
    return usage_error("STORE " + escape(places.store) + " and MNT " + escape(places.mountpoint) +
                       " must not lie inside each other");
  }
  places.lock = TFS_TRY(sys::open_at("journal.places.lock", AT_FDCWD, places.store.c_str(), O_RDONLY | O_DIRECTORY));
  if (::flock(places.lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error("journal.places.flock", errno, "unable to lock " + escape(places.store));
    return Error{Kind::kSystem, 0, "journal.places.flock", escape(places.store) + " is in use by another tfs_journal"};
  }
  // What fusermount3 asks for, and would say in a line of its own.
  if (::geteuid() != 0 && ::access(places.mountpoint.c_str(), W_OK | X_OK) != 0) {
    return system_error("journal.places.access", errno, "unable to mount on " + escape(places.mountpoint));
  }
  return places;
}

Result<sys::Fd> standard_output(const Places& places) {
  if (::isatty(STDOUT_FILENO)) {
    return usage_error("standard output is a terminal: the stream is binary, send it to a pipe or a file");
  }
  TFS_TRY(refuse_inside(STDOUT_FILENO, places));
  sys::Fd fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!fd.is_open()) return system_error("journal.output.dup", errno, "unable to use standard output");
  // Ours alone from here on: the reader must see the end when we let go.
  sys::Fd null = TFS_TRY(sys::open_at("journal.output.null", AT_FDCWD, "/dev/null", O_WRONLY));
  ::dup2(null.get(), STDOUT_FILENO);
  return fd;
}

Result<sys::Fd> open_output(const std::string& path, const Places& places) {
  struct stat st;
  if (::stat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode)) return sys::connect_unix("journal.output.connect", path);
  int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY;
  if (::stat(path.c_str(), &st) == 0 && S_ISFIFO(st.st_mode)) flags = O_WRONLY | O_NONBLOCK;
  sys::Fd fd = TFS_TRY(sys::open_at("journal.output.open", AT_FDCWD, path.c_str(), flags, 0600));
  TFS_TRY(refuse_inside(fd.get(), places));
  int status_flags = ::fcntl(fd.get(), F_GETFL);
  ::fcntl(fd.get(), F_SETFL, status_flags & ~O_NONBLOCK);
  return fd;
}

}  // namespace tfs::journal
