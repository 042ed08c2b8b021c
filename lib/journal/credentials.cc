#include "lib/journal/credentials.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace tfs::journal {
namespace {

// The raw calls: glibc's would change every thread.
void set_fs_ids(uid_t uid, gid_t gid) {
  // The group first on the way out and last on the way back would need CAP_SETGID either way: it stays, by the securebit.
  ::syscall(SYS_setfsgid, gid);
  ::syscall(SYS_setfsuid, uid);
}

void set_fsetid(bool on) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  if (::syscall(SYS_capget, &header, data) != 0) return;
  uint32_t bit = 1u << CAP_FSETID;
  data[0].effective = on ? data[0].effective | (data[0].permitted & bit) : data[0].effective & ~bit;
  ::syscall(SYS_capset, &header, data);
}

// That of the last caller: only what is made on behalf of one depends on it, and most have the same.
thread_local mode_t own_umask = 0;

}  // namespace

void prepare_thread() {
  ::unshare(CLONE_FS);                                 // an umask of its own,
  ::umask(own_umask = 0);                              // which began as that of the caller for whom the creating thread works
  ::prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);  // needs CAP_SETPCAP; an ordinary user has nothing to keep
}

AsCaller::AsCaller(const Caller& caller) {
  if (own_umask != caller.umask) ::umask(own_umask = caller.umask);
  is_changed_ = (caller.uid != 0 || caller.gid != 0) && ::geteuid() == 0;
  if (is_changed_) set_fs_ids(caller.uid, caller.gid);
}

AsCaller::~AsCaller() {
  int saved = errno;
  if (is_changed_) set_fs_ids(0, 0);
  errno = saved;
}

bool always_loses_set_id() {
  static const bool is_ordinary_user = ::geteuid() != 0;
  return is_ordinary_user;
}

WithoutFsetid::WithoutFsetid(bool wanted) : is_wanted_(wanted) {
  if (is_wanted_) set_fsetid(false);
}

WithoutFsetid::~WithoutFsetid() {
  int saved = errno;
  if (is_wanted_) set_fsetid(true);
  errno = saved;
}

}  // namespace tfs::journal
