#include "lib/apply/probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "lib/sys/io.h"

namespace tfs::apply {
namespace {

constexpr char kProbe[] = "probe", kOtherCase[] = "PROBE";

Error lacks(const std::string& what) { return usage_error("the mirror's filesystem " + what); }

// Where it has no room, or fails, nothing is known of what it takes.
Status probe_xattr(int fd, const char* name, Error lacking) {
  if (::fsetxattr(fd, name, "1", 1, 0) == 0) return {};
  Error error = system_error("apply.probe.xattr", errno, "unable to write beside the mirror");
  if (is_full(error) || errno == EIO || errno == EROFS) return error;
  return lacking;
}

// What is refused is an error where it is met. This is about what a filesystem takes, and leaves out.
Status probe_attributes(int fd, const Policy& policy) {
  constexpr mode_t kMode = S_ISUID | S_IXUSR | S_IRGRP | S_IWOTH;
  constexpr uid_t kOther = 1;
  struct stat st;
  if (policy.sets_owner && ::fchown(fd, kOther, kOther) == 0 && ::fstat(fd, &st) == 0 &&
      (st.st_uid != kOther || st.st_gid != kOther))
    return lacks("does not keep owners: use another, or run with --no-owner");
  if (::fchmod(fd, kMode) == 0 && ::fstat(fd, &st) == 0 && (st.st_mode & 07777) != kMode)
    return lacks("does not keep permissions: use another");
  return {};
}

}  // namespace

Result<TimeRange> probe(int state_fd, const Policy& policy) {
  ::unlinkat(state_fd, kProbe, 0);
  if (policy.sets_owner && ::geteuid() != 0) {
    return usage_error("an ordinary user cannot give files to others: run as root, or with --no-owner");
  }
  if (policy.makes_devices) {
    if (::mknodat(state_fd, kProbe, S_IFCHR | 0600, makedev(1, 3)) != 0) {
      if (errno == EPERM) return usage_error("this user cannot make devices: run as root, or with --no-special");
      return system_error("apply.probe.mknod", errno, "unable to write beside the mirror");
    }
    ::unlinkat(state_fd, kProbe, 0);
  }
  sys::Fd fd = TFS_TRY(sys::open_at("apply.probe.open", state_fd, kProbe, O_RDWR | O_CREAT, 0600));
  bool ignores_case = ::faccessat(state_fd, kOtherCase, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  ::unlinkat(state_fd, kProbe, 0);
  if (ignores_case) return lacks("takes names in upper and lower case for the same: use another");
  if (policy.sets_xattrs)
    TFS_TRY(probe_xattr(fd.get(), "user.tfs", lacks("has no extended attributes: use another, or run with --no-xattr")));
  if (policy.sets_xattrs && policy.sets_privileged_xattrs) {
    TFS_TRY(probe_xattr(
        fd.get(), "trusted.tfs",
        usage_error("this user cannot set attributes of trusted. and security.: run as root, or with --no-privileged-xattr")));
  }
  TimeRange times = time_range_of(fd.get());
  if (policy.keeps_times && times.step_ns != 1)
    return lacks("keeps times to " + std::to_string(times.step_ns) + " ns only: use another, or run with --coarse-times");
  TFS_TRY(probe_attributes(fd.get(), policy));
  return times;
}

}  // namespace tfs::apply
