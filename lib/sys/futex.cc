#include "lib/sys/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace tfs::sys {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

void futex_wait(std::atomic<uint32_t>& word, uint32_t value, int64_t most_ms) {
  timespec most{static_cast<time_t>(most_ms / 1000), static_cast<long>(most_ms % 1000) * 1'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, value, most_ms < 0 ? nullptr : &most, nullptr, 0);
}

void futex_wake_all(std::atomic<uint32_t>& word) { ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

}  // namespace tfs::sys
