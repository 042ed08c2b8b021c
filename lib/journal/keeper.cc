#include "lib/journal/keeper.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "lib/sys/message.h"

namespace tfs::journal {
namespace {

constexpr size_t kMostDeaths = 50;  // in kDeathsWithin: one that cannot even begin dies that often in a second
constexpr std::chrono::seconds kDeathsWithin(10);

pid_t keeper = -1;  // in the process that serves

[[noreturn]] void serve(const std::function<int(bool)>& work, bool takes_up) {
  ::setpgid(0, 0);  // what a terminal sends to all comes once, from the keeper
  ::prctl(PR_SET_PDEATHSIG, Keeper::kKeeperGone);
  if (::getppid() != keeper) ::_exit(1);
  // A thread that libc has made knows its own number, which this one, cloned behind its back, does not.
  std::thread([&] { ::_exit(work(takes_up)); }).join();
  ::_exit(1);
}

}  // namespace

bool Keeper::is_for_us(pid_t sender) { return keeper < 0 || sender == keeper || sender == ::getpid() || is_alone(); }
bool Keeper::is_alone() { return keeper >= 0 && ::getppid() != keeper; }

void Keeper::wait_until_alone() {
  while (!is_alone()) ::usleep(1000);
}

Status Keeper::start(bool takes_up) {
  pid_t own = ::getpid();
  auto pid = static_cast<pid_t>(::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid < 0) return system_error("journal.keeper.clone", errno, "unable to start the process that serves");
  if (pid == 0) {
    keeper = own;
    serve(work_.serve, takes_up);
  }
  child_ = pid;
  return {};
}

bool Keeper::dies_too_often() {
  auto now = std::chrono::steady_clock::now();
  deaths_.push_back(now);
  while (deaths_.front() < now - kDeathsWithin) deaths_.pop_front();
  return deaths_.size() >= kMostDeaths;
}

Result<int> Keeper::run(const sigset_t& signals) {
  std::thread([this] { estate_.ring().write_out([](int) { ::kill(::getpid(), kReaderGone); }); }).detach();
  TFS_TRY(start(false));
  while (true) {
    siginfo_t info;
    int signal = ::sigwaitinfo(&signals, &info);
    if (signal == kServes) work_.on_serving();
    if (signal == kReaderGone) work_.on_reader_gone();
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) ::kill(child_, signal);
    if (signal == SIGUSR2) {
      Status status = work_.may_hand_over();
      if (status) {
        ::kill(child_, signal);
      } else {
        sys::warn(status.error().message() + ": this tfs_journal goes on");
      }
    }
    int how = 0;
    if (signal != SIGCHLD || ::waitpid(child_, &how, WNOHANG) != child_) continue;
    if (int fd = estate_.handover().exchange(-1); WIFEXITED(how) && fd >= 0) {
      sys::warn(work_.hand_over(fd).error().message() + ": this tfs_journal goes on");
    } else if (WIFEXITED(how)) {
      return WEXITSTATUS(how);
    } else if (!estate_.is_mounted()) {
      return Error{Kind::kSystem, 0, "journal.keeper.killed", "killed by signal " + std::to_string(WTERMSIG(how))};
    } else if (dies_too_often()) {
      work_.give_up();
      return Error{Kind::kSystem, 0, "journal.keeper.often", "what serves the mount is killed again and again: giving up"};
    } else {
      sys::warn("what serves the mount was killed by signal " + std::to_string(WTERMSIG(how)) + ": another takes over");
    }
    TFS_TRY(start(true));
  }
}

}  // namespace tfs::journal
