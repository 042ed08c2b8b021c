#include "lib/spool/syncer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace tfs::spool {
namespace {

// The kernel makes a writer wait long before so many segments wait for the disk; this only keeps descriptors bounded.
constexpr size_t kMaxJobs = 64;

}  // namespace

Syncer::Syncer(const Dir& dir, SyncPolicy policy, std::function<void()> on_loss)
    : dir_(dir), policy_(policy), on_loss_(std::move(on_loss)), thread_([this] { run(); }) {}

Syncer::~Syncer() {
  {
    std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  work_.notify_all();
  thread_.join();
}

Status Syncer::lost(Error error) const {
  on_loss_();
  return error;
}

Status Syncer::sync_names(const char* op) const {
  Status status = dir_.sync(op);
  return status ? status : lost(std::move(status).error());
}

Status Syncer::wrote(int file) {
  if (is_each()) {
    if (::fdatasync(file) != 0) return lost(system_error("spool.sync.each", errno, "unable to put the spool on disk"));
    if (is_dir_dirty_) TFS_TRY(sync_names("spool.sync.names"));
    is_dir_dirty_ = false;
    return {};
  }
  if (policy_.when != SyncPolicy::When::kInterval) return {};
  std::lock_guard lock(mutex_);
  is_dirty_ = true;
  return status_;
}

Status Syncer::follow(int file) {
  if (policy_.when != SyncPolicy::When::kInterval) return {};
  sys::Fd own(::fcntl(file, F_DUPFD_CLOEXEC, 0));
  if (!own.is_open()) return system_error("spool.sync.dup", errno, "unable to open a segment again");
  std::lock_guard lock(mutex_);
  newest_ = std::move(own);
  return {};
}

Status Syncer::finish(sys::Fd file, std::string name) {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return jobs_.size() < kMaxJobs; });
  jobs_.push_back({std::move(file), std::move(name)});
  work_.notify_one();
  return status_;
}

Status Syncer::put_on_disk_now(int file) {
  if (policy_.when == SyncPolicy::When::kNever || file < 0) return {};
  if (::fdatasync(file) != 0) return lost(system_error("spool.sync.last", errno, "unable to put the spool on disk"));
  return sync_names("spool.sync.lastdir");
}

Status Syncer::drain() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return jobs_.empty() && !is_busy_; });
  return status_;
}

// The next thing to put on disk; nothing where there is none yet.
std::optional<Syncer::Job> Syncer::next_job(Clock::time_point& due) {
  if (!jobs_.empty()) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    return job;
  }
  if (policy_.when != SyncPolicy::When::kInterval || Clock::now() < due) return {};
  due = Clock::now() + std::chrono::milliseconds(policy_.interval_ms);
  if (!is_dirty_ || !newest_.is_open()) return {};
  is_dirty_ = false;
  return Job{sys::Fd(::fcntl(newest_.get(), F_DUPFD_CLOEXEC, 0)), ""};
}

void Syncer::run() {
  std::unique_lock lock(mutex_);
  Clock::time_point due = Clock::now();
  while (true) {
    std::optional<Job> job = next_job(due);
    if (!job && is_over_) return;
    if (!job) {
      policy_.when == SyncPolicy::When::kInterval ? (void)work_.wait_until(lock, due) : work_.wait(lock);
      continue;
    }
    is_busy_ = true;
    lock.unlock();
    Status status = put_on_disk(*job);
    job.reset();
    lock.lock();
    is_busy_ = false;
    if (!status && status_) status_ = std::move(status);
    done_.notify_all();
  }
}

// The order matters: a segment without write permission is trusted to be on disk after a power cut.
Status Syncer::put_on_disk(const Job& job) {
  if (policy_.when == SyncPolicy::When::kNever) return {};
  if (::fsync(job.file.get()) != 0)
    return lost(system_error("spool.sync.file", errno, "unable to put on disk " + dir_.shown(job.name)));
  TFS_TRY(sync_names("spool.sync.dir"));
  struct stat st;
  if (job.name.empty()) return {};  // it is still written
  if (::fstat(job.file.get(), &st) != 0 || ::fchmod(job.file.get(), st.st_mode & 0555) != 0) {
    return system_error("spool.sync.mark", errno, "unable to mark as finished " + dir_.shown(job.name));
  }
  return {};
}

}  // namespace tfs::spool
