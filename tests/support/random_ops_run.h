// The life of a Worker: one operation after the other, each as some user and with some umask, and now and then a
// snapshot.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "tests/support/random_ops_choices.h"
#include "tests/support/random_ops_judgement.h"
#include "tests/support/random_ops_pool.h"
#include "tests/support/random_ops_worker.h"

namespace tfs::support {

inline constexpr size_t kBufferBytes = 4 << 20;

struct User {
  uid_t uid;
  gid_t gid;
  gid_t group;  // supplementary; 0: none
};
inline constexpr User kUsers[] = {{0, 0, 0}, {1000, 1000, 0}, {1001, 1001, 1000}};

inline Worker::Worker(const Settings& settings, Shared& shared, const Outside& outside, unsigned id)
    : settings_(settings),
      shared_(shared),
      outside_(outside),
      id_(id),
      verifying_(settings.alone() && !settings.users && geteuid() == 0),
      snapshot_rng_(settings.seed, id, UINT64_MAX - 1) {
  for (const Op& op : settings_.table) total_weight_ += op.weight;
  out_ = static_cast<char*>(aligned_alloc(4096, kBufferBytes));
  in_ = static_cast<char*>(aligned_alloc(4096, kBufferBytes));
  if (settings_.every > 0) until_snapshot_ = snapshot_rng_.between(settings_.every / 2 + 1, settings_.every * 3 / 2);
}

inline Worker::~Worker() {
  free(out_);
  free(in_);
}

inline void Worker::prepare() {
  static constexpr Op kPrepare = {"prepare", 0, nullptr};
  op_ = &kPrepare;
  umask(0);
  for (const char* path : {"a", "b", "c", "a/a", "a/b", "b/a", "a/a/a"}) {
    about({AT_FDCWD, path});
    step("mkdir", mkdir(path, 0777));
  }
}

inline void Worker::run() {
  for (uint64_t number = 0; number < settings_.ops && !shared_.stop; number++) {
    run_one(number);
    if (until_snapshot_ > 0 && --until_snapshot_ == 0) take_snapshot();
  }
  static constexpr Op kEnd = {"end", 0, nullptr};
  op_ = &kEnd;
  about({});
  settle();
  while (!pool_.empty()) close_one();
  if (aio_context_ != 0) syscall(SYS_io_destroy, aio_context_);
}

// A chmod through a symlink to DIR may have shut all users out.
inline void Worker::reopen_root() {
  struct stat root;
  if (!step("stat", stat(".", &root)) || (root.st_mode & 0777) == 0777) return;
  removexattr(".", "system.posix_acl_access");
  step("chmod", chmod(".", 0777));
}

inline void Worker::run_one(uint64_t number) {
  static constexpr mode_t kUmasks[] = {0, 0, 0, 002, 022, 022, 027, 077};
  rng_ = Rng(settings_.seed, id_, number);
  number_ = number;
  refused_ = by_handle_ = false;
  refusal_ = 0;
  spared_ = -1;
  about({});

  umask_ = rng_.pick(kUmasks);
  umask(umask_);
  uint64_t choice = rng_.below(total_weight_);
  size_t index = 0;
  for (; choice >= settings_.table[index].weight; index++) choice -= settings_.table[index].weight;
  op_ = &settings_.table[index];

  if (settings_.users) {
    if (number % 64 == 0) reopen_root();
    become(static_cast<unsigned>(rng_.below(std::size(kUsers))));
  }
  op_->run(*this);
  shared_.counters[index].tried++;
  if (refused_) shared_.counters[index].refused++;
  if (settings_.trace) {
    const char* refusal = refusal_ == 0 ? "refused" : strerrorname_np(refusal_);
    say(std::string(refused_ ? refusal : "ok") + ": " + circumstances());
  }
  if (settings_.users) become(0);
}

// This thread only: the library's own functions would change all threads. The saved ids stay root's, for the way back.
inline void Worker::become(unsigned user) {
  const User& is = kUsers[user];
  if (user_ == user) return;
  if (user == 0) {
    step("setresuid", syscall(SYS_setresuid, 0, 0, 0));
    step("setresgid", syscall(SYS_setresgid, 0, 0, 0));
    step("setgroups", syscall(SYS_setgroups, 0, nullptr));
  } else {
    step("setgroups", syscall(SYS_setgroups, is.group == 0 ? 0 : 1, &is.group));
    step("setresgid", syscall(SYS_setresgid, is.gid, is.gid, 0));
    step("setresuid", syscall(SYS_setresuid, is.uid, is.uid, 0));
  }
  user_ = user;
}

// The marker is created when all else is at rest, so that the journal up to its frame is the store as the snapshot
// shows it. Descriptors of unlinked files stay open: nothing is written through them meanwhile.
inline void Worker::take_snapshot() {
  static constexpr Op kSnapshot = {"snapshot", 0, nullptr};
  until_snapshot_ = snapshot_rng_.between(settings_.every / 2 + 1, settings_.every * 3 / 2);
  op_ = &kSnapshot;
  about({});
  settle();
  int root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  step("syncfs", syncfs(root));  // a mount may hold writes back
  close_fd(root);
  uint32_t number = ++snapshots_taken_;
  about({AT_FDCWD, ".mark." + std::to_string(number)});
  umask(0);
  int marker = open(object_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  expect(marker >= 0, "the marker cannot be created");
  close_fd(marker);
  char done = 0;
  bool told = write(outside_.snapshot_request, &number, sizeof number) == sizeof number &&
              read(outside_.snapshot_reply, &done, 1) == 1 && done == 1;
  expect(told, "no manifest");
}

}  // namespace tfs::support
