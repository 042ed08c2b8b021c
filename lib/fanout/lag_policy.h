// Every number of the fan-out, with its reason, and what a user may set.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lib/base/bytes.h"
#include "lib/format/limits.h"

namespace tfs::fanout {

struct Policy {
  uint64_t max_lag_bytes = 0;  // a client further behind is cut off; 0: never
  uint64_t max_lag_ms = 0;     // a client whose next byte has waited longer is cut off; 0: never
  uint64_t max_clients = 1000;
  uint64_t wait_for = 0;       // clients that have to be there before the first byte is read
  uint64_t drain_ms = 30'000;  // what the slowest client gets after the end of input
};

// One frame may be half sent while another is half received, so two whole ones have to fit. More lets reading and writing run
// beside each other; 3 MiB leaves room for program and libraries in a process of 8 MiB, and stays in a processor's cache.
constexpr size_t kRing = size_t{3} << 20;
static_assert(kRing >= 2 * format::kMaxFrame && kRing % format::kAlignment == 0);

// One read. Larger ones leave the cache before the last client has got them, smaller ones cost more calls: with 64 KiB 64
// clients together get 0.7 times as much.
constexpr size_t kChunk = size_t{512} << 10;

// A pipe on standard input. With the usual 64 KiB its writer and this process take turns, and each client gets it in smaller
// pieces: 0.6 to 0.8 times the rate.
constexpr size_t kPipe = size_t{512} << 10;

// What is held is moved to the front of the ring up to this size: that costs less than the cache misses that it saves.
constexpr size_t kMoveLimit = size_t{16} << 10;

// A full ring is read into again when so much is free: not at every few bytes that the slowest client takes.
constexpr size_t kResume = size_t{256} << 10;

// What the kernel keeps for one client: with the default (208 KiB) a client and this process wait for each other more often.
// The kernel doubles the number, and holds it to net.core.wmem_max.
constexpr size_t kSendBuffer = size_t{256} << 10;

// Clients have nothing to say. What they send is read, so that they are not stuck in a write, a bit in each turn, so that they
// hold nobody up; who sends more than a careless program would is not listened to any longer.
constexpr size_t kDiscardPerTurn = 16384;
constexpr uint64_t kDiscardLimit = uint64_t{1} << 20;

// HELLO is kept for those who join later. The largest that tfs_stream(5) has is of 8.3 KiB.
constexpr size_t kMaxHello = size_t{64} << 10;

// Arrival times that are kept. With more, neighbours become one: lag in seconds is then wrong by less than a 100th.
constexpr size_t kMaxMarks = 512;

// Lag in seconds is looked at ten times within its limit, and between 100 times and once a second.
constexpr uint64_t tick_ms(uint64_t max_lag_ms) { return std::clamp<uint64_t>(max_lag_ms / 10, 10, 1000); }

// A client that is just not too far behind must not stop the reading of the next frame.
constexpr size_t ring_size(const Policy& policy) {
  return std::max<size_t>(kRing, round_up(policy.max_lag_bytes, format::kAlignment) + 2 * format::kMaxFrame);
}

// Questions about the status: asked by few and answered at once.
constexpr size_t kMaxAskers = 8;
constexpr uint64_t kAskerMs = 5000;

}  // namespace tfs::fanout
