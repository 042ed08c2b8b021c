#include "lib/apply/sandbox.h"

#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "lib/sys/fd.h"

namespace tfs::apply {
namespace {

constexpr uint64_t kAccess = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
                             LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                             LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                             LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                             LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

int allow_below(int rules, int directory) {
  landlock_path_beneath_attr beneath{};
  beneath.allowed_access = kAccess;
  beneath.parent_fd = directory;
  return static_cast<int>(::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0));
}

}  // namespace

Result<bool> confine_to(int mirror_fd, int state_fd) {
  long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 2) return false;
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kAccess;
  // Only the first member: what later kernels handle beside it is not restricted.
  sys::Fd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0)));
  if (!rules.is_open()) return system_error("apply.sandbox.create", errno, "unable to make a Landlock ruleset");
  if (allow_below(rules.get(), mirror_fd) != 0 || allow_below(rules.get(), state_fd) != 0) {
    return system_error("apply.sandbox.rule", errno, "unable to make a Landlock rule");
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
    return system_error("apply.sandbox.restrict", errno, "unable to enter the Landlock sandbox");
  }
  return true;
}

}  // namespace tfs::apply
