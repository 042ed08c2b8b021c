#include "lib/loop/loop.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "lib/loop/idle.h"
#include "lib/loop/poll.h"
#include "lib/loop/signal_watch.h"
#include "lib/loop/timer.h"
#include "lib/loop/wakeup.h"
#include "lib/sys/fd.h"
#include "lib/sys/io.h"
#include "lib/sys/unix_socket.h"

using namespace tfs;
using namespace tfs::loop;

namespace {

Loop new_loop() {
  Result<Loop> loop = Loop::open();
  REQUIRE(loop.ok());
  return std::move(loop).value();
}

struct Pair {
  sys::Fd a, b;
  explicit Pair(int type = SOCK_STREAM) {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) == 0);
    a = sys::Fd(fds[0]);
    b = sys::Fd(fds[1]);
  }
};

Poll new_poll(Loop& loop, int fd, std::function<void(unsigned)> fn) {
  Result<Poll> poll = Poll::open(loop, fd, std::move(fn));
  REQUIRE(poll.ok());
  return std::move(poll).value();
}

void write_byte(const sys::Fd& fd) { REQUIRE(::write(fd.get(), "x", 1) == 1); }
void read_byte(const sys::Fd& fd) {
  char c;
  REQUIRE(::read(fd.get(), &c, 1) == 1);
}

}  // namespace

TEST_CASE("a loop with nothing to do returns") {
  Loop loop = new_loop();
  loop.run();
}

TEST_CASE("a timer comes after its time, again if it repeats, and not when it was stopped") {
  Loop loop = new_loop();
  int once = 0, again = 0, never = 0;
  int64_t start = sys::monotonic_ms(), at = 0;
  Timer first(loop, [&] {
    once++;
    at = sys::monotonic_ms();
  });
  Timer stopped(loop, [&] { never++; });
  Timer tick(loop, [&] {
    if (++again == 3) tick.stop();
  });
  first.start(20);
  tick.start(1, 1);
  stopped.start(5);
  stopped.stop();
  loop.run();
  CHECK(once == 1);
  CHECK(at - start >= 19);
  CHECK(again == 3);
  CHECK(never == 0);
}

TEST_CASE("an owner may be destroyed from inside its own callback") {
  Loop loop = new_loop();
  Pair pair;
  int calls = 0;
  std::vector<int> held(1000, 7);  // what the function holds must outlive the call
  auto timer = std::make_unique<std::optional<Timer>>();
  timer->emplace(loop, [&calls, &timer, held] {
    timer.reset();
    for (int i : held) calls += i == 7 ? 0 : 1;
    calls++;
  });
  (*timer)->start(1, 1);
  std::optional<Poll> poll;
  poll.emplace(new_poll(loop, pair.a.get(), [&calls, &poll, held](unsigned) {
    poll.reset();
    for (int i : held) calls += i == 7 ? 0 : 1;
    calls++;
  }));
  REQUIRE(poll->set(kReadable | kWritable));
  loop.run();
  CHECK(calls == 2);
}

TEST_CASE("a poll tells what it was asked for, as long as it is so") {
  Loop loop = new_loop();
  Pair pair;
  int readable = 0, writable = 0;
  Poll poll = new_poll(loop, pair.a.get(), [&](unsigned events) {
    if (events & kWritable) {
      writable++;
      REQUIRE(poll.set(kReadable));
      write_byte(pair.b);
    }
    if (events & kReadable) {
      if (++readable < 3) return;  // not read: it is told again
      read_byte(pair.a);
      REQUIRE(poll.set(0));
    }
  });
  REQUIRE(poll.set(kReadable | kWritable));
  loop.run();
  CHECK(writable == 1);
  CHECK(readable == 3);
}

TEST_CASE("a poll leaves O_NONBLOCK alone, for others may share the descriptor") {
  Loop loop = new_loop();
  Pair pair;
  Poll poll = new_poll(loop, pair.a.get(), [](unsigned) {});
  CHECK((::fcntl(pair.a.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a regular file cannot be watched, and says so with EPERM") {
  Loop loop = new_loop();
  sys::Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  Result<Poll> poll = Poll::open(loop, file.get(), [](unsigned) {});
  REQUIRE(!poll.ok());
  CHECK(poll.error().sys_errno == EPERM);
}

TEST_CASE("kHangup comes when both directions are closed, and not before") {
  Loop loop = new_loop();
  Pair pair;
  int hangups = 0, early = 0;
  bool is_closed = false;
  Poll poll = new_poll(loop, pair.a.get(), [&](unsigned events) {
    (is_closed && events == kHangup ? hangups : early)++;
    loop.stop();
  });
  REQUIRE(poll.set(kHangup));
  ::shutdown(pair.b.get(), SHUT_WR);
  Timer later(loop, [&] {
    is_closed = true;
    pair.b.reset();
  });
  later.start(30);
  loop.run();
  CHECK(early == 0);
  CHECK(hangups == 1);
  CHECK(sys::is_hung_up(pair.a.get()));
}

TEST_CASE("a socket in error is told once as kHangup") {
  Loop loop = new_loop();
  Pair pair;
  int hangups = 0;
  Poll poll = new_poll(loop, pair.a.get(), [&](unsigned events) { hangups += events == kHangup ? 1 : 100; });
  REQUIRE(poll.set(kWritable));
  write_byte(pair.a);
  pair.b.reset();  // with a byte unread: ECONNRESET here
  loop.run();
  CHECK(hangups == 1);
  CHECK(poll.events() == 0);
}

TEST_CASE("an idle is called in each turn, and others have their turn, too") {
  Loop loop = new_loop();
  Pair pair;
  int idles = 0;
  Idle idle(loop, [&] { idles++; });
  Poll poll = new_poll(loop, pair.a.get(), [&](unsigned) {
    idle.stop();
    REQUIRE(poll.set(0));
  });
  REQUIRE(poll.set(kWritable));
  idle.start();
  loop.run();
  CHECK(idles >= 1);
}

TEST_CASE("a wake-up from another thread arrives") {
  Loop loop = new_loop();
  std::optional<Wakeup> wakeup;
  std::thread::id where;
  Result<Wakeup> made = Wakeup::open(loop, [&] {
    where = std::this_thread::get_id();
    wakeup.reset();
  });
  REQUIRE(made.ok());
  wakeup.emplace(std::move(made).value());
  std::thread other([&] { wakeup->wake(); });
  other.join();
  loop.run();
  CHECK(where == std::this_thread::get_id());
}

TEST_CASE("signals arrive as events, do not keep the loop running, and have their old meaning afterwards") {
  struct sigaction before {
  }, after{};
  ::sigaction(SIGUSR1, nullptr, &before);
  {
    Loop loop = new_loop();
    std::vector<int> got;
    Result<SignalWatch> watch = SignalWatch::open(loop, {SIGUSR1, SIGUSR2}, [&](int number) { got.push_back(number); });
    REQUIRE(watch.ok());
    loop.run();
    Timer limit(loop, [] {});
    limit.start(50);
    ::raise(SIGUSR2);
    loop.run();
    CHECK(got == std::vector<int>{SIGUSR2});
  }
  ::sigaction(SIGUSR1, nullptr, &after);
  CHECK((before.sa_handler == after.sa_handler));
}

TEST_CASE("stop() ends run() although there is something to wait for") {
  Loop loop = new_loop();
  Pair pair;
  Poll poll = new_poll(loop, pair.a.get(), [](unsigned) {});
  REQUIRE(poll.set(kReadable));
  Timer timer(loop, [&] { loop.stop(); });
  timer.start(1);
  loop.run();
}
