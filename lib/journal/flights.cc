#include "lib/journal/flights.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "lib/base/check.h"

namespace tfs::journal {
namespace {

constexpr int kPopulateWrite = 23;               // MADV_POPULATE_WRITE, of Linux 5.14
constexpr size_t kMostKept = size_t{128} << 10;  // of a place that is free; the rest goes back to the system

}  // namespace

void Flight::note_answer(std::span<const iovec> parts) {
  size_t size = 0;
  for (const iovec& part : parts) size += part.iov_len;
  if (size > kMostAnswer) return;
  std::byte* to = answer_;
  for (const iovec& part : parts) {
    std::memcpy(to, part.iov_base, part.iov_len);
    to += part.iov_len;
  }
  answer_size_ = static_cast<uint32_t>(size);
  answered_ = request().unique;
}

void Flight::prepare() {
  if (::madvise(bytes_, Flights::kRequestSize, kPopulateWrite) == 0) return;
  for (size_t at = 0; at < Flights::kRequestSize; at += 4096) std::atomic_ref(bytes_[at]).store(std::byte{0});
}

uint32_t Flight::note_crash() {
  if (crashed_.exchange(request().unique) != request().unique) crashes_ = 0;
  return crashes_ += 1;
}

Flights::Flights(std::span<std::byte> memory) : memory_(memory) {
  for (size_t index = head().given; index > 0; index--) {
    if (!at(index - 1).is_taken_) free_.push_back(&at(index - 1));
  }
}

Flight* Flights::take() {
  std::lock_guard guard(mutex_);
  Flight* flight = nullptr;
  if (!free_.empty()) {
    flight = free_.back();
    free_.pop_back();
  } else if (4096 + (head().given + 1) * kBytesEach <= memory_.size()) {
    flight = &at(head().given);
    flight->bytes_ = reinterpret_cast<std::byte*>(flight) + 4096;
    head().given += 1;
  } else {
    return nullptr;
  }
  flight->request().unique = 0;
  flight->begun_ = flight->done_ = flight->answered_ = 0;
  flight->is_taken_ = true;
  return flight;
}

void Flights::give_back(Flight& flight, size_t used) {
  flight.is_taken_ = false;
  // Fails on memory that is nobody else's, which the next one needs as much as it did.
  if (used > kMostKept) ::madvise(flight.bytes_ + kMostKept, kRequestSize - kMostKept, MADV_REMOVE);
  std::lock_guard guard(mutex_);
  free_.push_back(&flight);
}

std::vector<Flight*> Flights::taken() {
  std::vector<Flight*> found;
  for (size_t index = 0; index < head().given; index++) {
    if (at(index).is_taken_) found.push_back(&at(index));
  }
  std::ranges::sort(found, {}, [](Flight* flight) { return flight->request().unique; });
  return found;
}

}  // namespace tfs::journal
