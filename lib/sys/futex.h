// Words that threads wait for, also of several processes that share the memory. Source: futex(2).
#pragma once

#include <atomic>
#include <cstdint>

namespace tfs::sys {

// Returns when the word is not `value`, when it was woken, after `most_ms` (-1: without end), or for no reason.
void futex_wait(std::atomic<uint32_t>& word, uint32_t value, int64_t most_ms = -1);
void futex_wake_all(std::atomic<uint32_t>& word);

}  // namespace tfs::sys
