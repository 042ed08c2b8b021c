#include "lib/sys/command_ring.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <cerrno>

using namespace tfs;
using namespace tfs::sys;

TEST_CASE("command ring: the kernel's answers come back") {
  Result<CommandRing> ring = CommandRing::make();
  if (!ring) {
    MESSAGE("no io_uring here: " << ring.error().message());
    return;
  }
  Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  REQUIRE(file.is_open());
  // What knows no commands, and what is not open.
  for (int round = 0; round < 5; round++) {
    CHECK(ring->run(file.get(), 1, {}, {}) == -EOPNOTSUPP);
    ring->start(-1, 1, {}, {});
    CHECK(ring->wait() == -EBADF);
  }
}
