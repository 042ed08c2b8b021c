// The requests that are under way: each with the bytes that FUSE has sent and, once it is known, the short answer, in memory that a
// successor shares. So a request that had been read when its reader was killed is done all the same, once, and answered.
//
// A flight is a place for one request at a time. Which one is in it stands in FUSE's own header: read(2) puts it there.
//
// Threads: take() and give_back() by any; a flight belongs to one thread at a time.
#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "lib/base/bytes.h"

namespace tfs::journal {

class Flight {
 public:
  static constexpr size_t kMostAnswer = 1024;  // of a longer one the request is done again, which changes nothing

  fuse_in_header& request() { return *reinterpret_cast<fuse_in_header*>(bytes_); }

  // The request's own words for how far it is. Each is one store.
  void begin() { begun_ = request().unique; }
  void note_answer(std::span<const iovec> parts);
  void note_done() { done_ = request().unique; }  // but for the answer
  void finish() { answer_size_ = 0, answered_ = request().unique; }

  bool has_begun() { return begun_ == request().unique; }
  bool is_done() { return done_ == request().unique; }
  bool is_answered() { return answered_ == request().unique; }
  ByteView answer() const { return {answer_, answer_size_}; }

  // The next request goes to memory that is there: a process that is killed at a page fault in read(2) leaves half of it, and the kernel
  // answers it with EIO.
  void prepare();

  // That its process was killed while it was done; how often that happened to this request.
  uint32_t note_crash();

 private:
  friend class Flights;
  std::atomic<bool> is_taken_;
  std::atomic<uint64_t> begun_, done_, answered_, crashed_;
  std::atomic<uint32_t> answer_size_, crashes_;
  std::byte* bytes_;
  alignas(8) std::byte answer_[kMostAnswer];
};

class Flights {
 public:
  static constexpr size_t kRequestSize = (size_t{1} << 20) + 65536;  // libfuse wants 1 MiB and a page
  static constexpr size_t kBytesEach = kRequestSize + 4096;

  // In memory of zeros, or that a predecessor has left: what was taken there stays so.
  explicit Flights(std::span<std::byte> memory);

  // Null where all are taken.
  Flight* take();
  // `used` bytes of it were touched.
  void give_back(Flight& flight, size_t used);

  // Those that a predecessor has left, by the age of their requests.
  std::vector<Flight*> taken();

 private:
  struct Head {
    std::atomic<uint64_t> given;  // places that were ever taken
  };
  Head& head() { return *reinterpret_cast<Head*>(memory_.data()); }
  Flight& at(size_t index) { return *reinterpret_cast<Flight*>(memory_.data() + 4096 + index * kBytesEach); }

  const std::span<std::byte> memory_;
  std::mutex mutex_;
  std::vector<Flight*> free_;
};

}  // namespace tfs::journal
