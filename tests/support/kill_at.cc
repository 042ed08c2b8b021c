// kill_at N COMMAND [ARG]...: runs COMMAND and kills it with SIGKILL at the Nth stop, where each system call of each of its threads
// is two: before it is done, and after. Ends as the command does where it ends before, else with 137.
//
// kill_at 0 COMMAND...: lets it end, and prints how many stops there were.

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr int kKilled = 137;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "kill_at: %s: %s\n", what, std::strerror(errno));
  std::exit(126);
}

[[noreturn]] void become(char** command) {
  ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  ::raise(SIGSTOP);
  // A sanitizer that looks for leaks is a tracer as well, and there can be one.
  if (const char* asan = ::getenv("ASAN_OPTIONS")) ::setenv("ASAN_OPTIONS", (std::string(asan) + ":detect_leaks=0").c_str(), 1);
  ::execvp(command[0], command);
  std::fprintf(stderr, "kill_at: unable to run %s: %s\n", command[0], std::strerror(errno));
  std::_Exit(127);
}

// A thread's stop that is a system call's, told by its bit; others are signals, which are passed on.
bool is_system_call(int status) { return WSTOPSIG(status) == (SIGTRAP | 0x80); }

int signal_to_pass(int status) {
  int signal = WSTOPSIG(status);
  bool is_of_tracing = signal == (SIGTRAP | 0x80) || signal == SIGTRAP || signal == SIGSTOP;
  return is_of_tracing ? 0 : signal;
}

// The exit status of the command, or kKilled.
int trace(pid_t child, unsigned long last, unsigned long& stops) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) die("unable to start");
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  if (::ptrace(PTRACE_SETOPTIONS, child, nullptr, options) != 0) die("unable to trace");
  ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  while (true) {
    pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0) die("unable to wait");
    if (!WIFSTOPPED(status)) {
      if (thread != child) continue;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (is_system_call(status) && ++stops == last) {
      ::kill(child, SIGKILL);
      while (::waitpid(-1, &status, __WALL) > 0) {
      }
      return kKilled;
    }
    ::ptrace(PTRACE_SYSCALL, thread, nullptr, signal_to_pass(status));
  }
}

}  // namespace

int main(int argc, char** argv) {
  char* end = nullptr;
  unsigned long last = argc > 2 ? std::strtoul(argv[1], &end, 10) : 0, stops = 0;
  if (argc <= 2 || *end != '\0') {
    std::fprintf(stderr, "usage: kill_at N COMMAND [ARG]...\n");
    return 2;
  }
  pid_t child = ::fork();
  if (child < 0) die("unable to fork");
  if (child == 0) become(argv + 2);
  int result = trace(child, last, stops);
  if (last == 0) std::printf("%lu\n", stops);
  return result;
}
