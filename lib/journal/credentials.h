// Doing a system call as the caller of a request would have done it. Objects are born with the right owner, group, mode and ACL,
// so there is no moment at which they belong to someone else; permission itself was checked by the kernel (default_permissions).
#pragma once

#include <sys/types.h>

namespace tfs::journal {

struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t umask = 0;
};

// Once in each thread that uses what is below: its own umask, and capabilities that stay through a change of fsuid.
void prepare_thread();

// Files are made in the caller's name and with its umask while this lives.
class AsCaller {
 public:
  explicit AsCaller(const Caller& caller);
  ~AsCaller();
  AsCaller(const AsCaller&) = delete;
  AsCaller& operator=(const AsCaller&) = delete;

 private:
  bool is_changed_ = false;
};

// Whether set-id bits go from whatever this process writes, for whoever it does that: as an ordinary user's they do.
bool always_loses_set_id();

// The kernel takes set-id bits from what is written while this lives (and `wanted`), as it does for an ordinary user: by
// dropping CAP_FSETID in this thread. KILLPRIV_V2 makes that our duty.
class WithoutFsetid {
 public:
  explicit WithoutFsetid(bool wanted);
  ~WithoutFsetid();
  WithoutFsetid(const WithoutFsetid&) = delete;
  WithoutFsetid& operator=(const WithoutFsetid&) = delete;

 private:
  bool is_wanted_;
};

}  // namespace tfs::journal
