#include "lib/source/source.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "lib/source/words.h"
#include "lib/sys/io.h"

using namespace tfs;
using namespace tfs::source;

namespace {

constexpr int exited(int status) { return status << 8; }

std::string output_of(const Child& child) {
  std::string out(1000, '\0');
  size_t size = 0;
  while (true) {
    Result<size_t> n = sys::read_some("test.source.read", child.output(), std::as_writable_bytes(std::span(out)).subspan(size));
    REQUIRE(n.ok());
    if (*n == 0) return out.substr(0, size);
    size += *n;
  }
}

// Dead it may stay a zombie, where nobody is there to reap it.
bool is_alive(int pid) {
  Result<std::string> state =
      sys::read_file("test.source.state", AT_FDCWD, ("/proc/" + std::to_string(pid) + "/stat").c_str(), 1000);
  return state && state->find(") Z ") == std::string::npos && state->find(") X ") == std::string::npos;
}

Child start(const std::string& script) { return Child::start({"sh", "-c", script}).value(); }

}  // namespace

TEST_CASE("%p is the position, %% a percent sign, and the rest stays") {
  CHECK(substitute({"ssh", "--from", "%p", "x%py", "%%p", "100%", "%d", "%"}, "E:7") ==
        std::vector<std::string>{"ssh", "--from", "E:7", "xE:7y", "%p", "100%", "%d", "%"});
}

TEST_CASE("pauses grow to the most, and start again with progress") {
  Backoff backoff(500, 8000, 1);
  uint64_t wanted = 500;
  for (int i = 0; i < 12; i++) {
    uint64_t ms = backoff.next_ms();
    CHECK(ms >= wanted * 4 / 5);
    CHECK(ms <= wanted * 6 / 5);
    wanted = std::min<uint64_t>(8000, wanted * 2);
  }
  backoff.progressed();
  CHECK(backoff.next_ms() <= 600);
}

TEST_CASE("pauses differ between programs") {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 20; seed++) seen.insert(Backoff(10'000, 10'000, seed).next_ms());
  CHECK(seen.size() > 10);
}

TEST_CASE("only END ends it well, and only 2 and 3 give up") {
  using What = Decision::What;
  CHECK(decide(StreamEnd::kClean, exited(0), "c").what == What::kDone);
  CHECK(decide(StreamEnd::kClean, exited(1), "c").what == What::kDone);
  for (int status : {0, 1, 4, 127, 255}) CHECK(decide(StreamEnd::kBrokeOff, exited(status), "c").what == What::kAgain);
  CHECK(decide(StreamEnd::kBrokeOff, SIGKILL, "c").what == What::kAgain);
  CHECK(decide(StreamEnd::kBrokeOff, {}, "c").what == What::kAgain);
  CHECK(decide(StreamEnd::kSilent, {}, "c").what == What::kAgain);
  CHECK(decide(StreamEnd::kBrokeOff, exited(2), "c").what == What::kGiveUp);
  CHECK(decide(StreamEnd::kBrokeOff, exited(2), "c").why.kind == Kind::kUsage);
  CHECK(decide(StreamEnd::kBrokeOff, exited(3), "c").what == What::kGiveUp);
  CHECK(decide(StreamEnd::kBrokeOff, exited(3), "c").why.kind == Kind::kMismatch);
}

TEST_CASE("a child's output is ours, its status is told") {
  Child child = start("echo hello; exit 7");
  CHECK(output_of(child) == "hello\n");
  CHECK(status_text(child.wait(-1).value()) == "exit status 7");
}

TEST_CASE("a child has an empty input, its own process group, and SIGPIPE as usual") {
  std::signal(SIGPIPE, SIG_IGN);
  CHECK(output_of(start("cat; echo $(($(ps -o pgid= -p $$) == $$))")) == "1\n");
  // Bit 12 is SIGPIPE; who started us may ignore others.
  CHECK(output_of(start("echo $((0x$(sed -n 's/^SigIgn:\\t//p' /proc/self/status) >> 12 & 1))")) == "0\n");
}

TEST_CASE("a command that cannot be run is wrong usage") {
  Result<Child> child = Child::start({"/nonexistent/command"});
  REQUIRE_FALSE(child.ok());
  CHECK(child.error().kind == Kind::kUsage);
}

TEST_CASE("a child is ended with all that it has started") {
  std::string pid;
  {
    Child child = start("trap '' TERM; sleep 1000 >/dev/null & echo $!; exec >&-; wait");
    pid = output_of(child);
    CHECK_FALSE(child.wait(0));
  }
  bool is_gone = false;
  for (int tries = 0; !is_gone && tries < 200; tries++) {
    is_gone = !is_alive(std::stoi(pid));
    if (!is_gone) ::usleep(10'000);
  }
  CHECK(is_gone);
}

TEST_CASE("a source is run again with the position") {
  Source source({{"sh", "-c", "echo $0; exit 4", "%p"}, 10, 20});
  REQUIRE(source.start({}).ok());
  char text[100];
  ssize_t n = ::read(source.output(), text, sizeof text);
  CHECK(std::string(text, static_cast<size_t>(n)) == "none\n");
  Decision decision = source.finish(StreamEnd::kBrokeOff, false);
  CHECK(decision.what == Decision::What::kAgain);
  CHECK(decision.pause_ms >= 8);
  CHECK(decision.pause_ms <= 24);
  format::Position position{{}, 12};
  REQUIRE(source.start(position).ok());
  n = ::read(source.output(), text, sizeof text);
  CHECK(std::string(text, static_cast<size_t>(n)) == to_text(position) + "\n");
}
