#include "lib/source/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "lib/base/escape.h"
#include "lib/sys/io.h"

namespace tfs::source {
namespace {

constexpr int kPipeSize = 1 << 20;
constexpr int kGraceMs = 2000;  // between TERM and KILL

struct Pipe {
  sys::Fd in, out;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return system_error("source.child.pipe", errno, "unable to make a pipe");
  return Pipe{sys::Fd(fds[0]), sys::Fd(fds[1])};
}

// In the child: only calls that are safe behind fork(2) in a process with threads. An `output` of -1 is ours.
[[noreturn]] void run_child(char* const* words, int input, int output, int failure, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);  // the parent was gone before that
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);  // tools of ours ignore it, and that would be inherited
  int null = input < 0 ? ::open("/dev/null", O_RDONLY) : -1;
  if (::dup2(input < 0 ? null : input, STDIN_FILENO) >= 0 && (output < 0 || ::dup2(output, STDOUT_FILENO) >= 0)) {
    if (null > STDERR_FILENO) ::close(null);
    ::execvp(words[0], words);
  }
  int error = errno;
  [[maybe_unused]] ssize_t n = ::write(failure, &error, sizeof error);
  ::_exit(127);
}

// The errno of a child that could not be run, 0 for one that runs.
int failure_of(int fd) {
  int error = 0;
  Result<size_t> n = sys::read_some("source.child.failure", fd, std::as_writable_bytes(std::span(&error, 1)));
  return n && *n == sizeof error ? error : 0;
}

}  // namespace

Child::Child(pid_t pid, sys::Fd process, sys::Fd output) : pid_(pid), process_(std::move(process)), output_(std::move(output)) {}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      process_(std::move(other.process_)),
      output_(std::move(other.output_)),
      input_(std::move(other.input_)) {}

Result<Child> Child::start(const std::vector<std::string>& words, ChildPipes pipes) {
  Pipe failure = TFS_TRY(make_pipe());
  Pipe input = pipes.has_input ? TFS_TRY(make_pipe()) : Pipe(), output = pipes.has_output ? TFS_TRY(make_pipe()) : Pipe();
  if (pipes.has_output) ::fcntl(output.in.get(), F_SETPIPE_SZ, kPipeSize);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t parent = ::getpid(), pid = ::fork();
  if (pid < 0) return system_error("source.child.fork", errno, "unable to start " + escape(words[0]));
  if (pid == 0) run_child(argv.data(), input.in.get(), output.out.get(), failure.out.get(), parent);
  ::setpgid(pid, pid);  // here as well: whichever of both comes first
  sys::Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  Child child(pid, std::move(process), std::move(output.in));
  child.input_ = std::move(input.out);
  failure.out.reset();
  int error = failure_of(failure.in.get());
  if (error == 0) return child;
  child.wait(kGraceMs);
  Error why = system_error("source.child.exec", error, "unable to run " + escape(words[0]));
  if (error == ENOENT || error == EACCES || error == ENOEXEC) return usage_error(why.message());
  return why;
}

std::optional<int> Child::wait(int most_ms) {
  if (pid_ < 0) return {};
  pollfd p{process_.get(), POLLIN, 0};
  while (::poll(&p, 1, most_ms) < 0 && errno == EINTR) continue;
  return reap();
}

std::optional<int> Child::reap() {
  // As long as its leader is not reaped nobody else can get the group's number.
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return {};
  ::kill(-pid_, SIGTERM);  // what it has left behind
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  return status;
}

void Child::stop() {
  input_.reset();
  output_.reset();
  if (pid_ < 0) return;
  ::kill(-pid_, SIGTERM);
  ::kill(-pid_, SIGCONT);
  if (wait(kGraceMs)) return;
  ::kill(-pid_, SIGKILL);
  wait(-1);
}

std::string status_text(int status) {
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace tfs::source
