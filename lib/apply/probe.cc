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

constexpr char kProbe[] = "probe";

bool has_xattr(int fd, const char* name) { return ::fsetxattr(fd, name, "1", 1, 0) == 0; }

}  // namespace

Status probe(int state_fd, const Policy& policy) {
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
  ::unlinkat(state_fd, kProbe, 0);
  if (!policy.sets_xattrs) return {};
  if (!has_xattr(fd.get(), "user.tfs")) {
    return usage_error("the mirror's filesystem has no extended attributes: use another, or run with --no-xattr");
  }
  if (policy.sets_privileged_xattrs && !has_xattr(fd.get(), "trusted.tfs")) {
    return usage_error("this user cannot set attributes of trusted. and security.: run as root, or with --no-privileged-xattr");
  }
  return {};
}

}  // namespace tfs::apply
