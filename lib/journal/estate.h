// All that a tfs_journal which is killed leaves to its successor (keeper.h): memory that both share at the same addresses, and, since
// they share a table of descriptors as well, what is open. Without --keep it is memory like any other.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "lib/base/result.h"
#include "lib/journal/flights.h"
#include "lib/journal/ring.h"
#include "lib/sys/region.h"

namespace tfs::journal {

class Estate {
 public:
  static constexpr int kMostDescriptors = 1 << 20;
  static constexpr size_t kMostInit = 256;

  static Result<Estate> make(bool is_shared);

  Ring& ring() { return fixed().ring; }
  std::span<std::byte> flight_memory() const;
  std::span<std::byte> table_memory() const;
  bool is_shared() const { return is_shared_; }

  // Which node the descriptor of the store is open for; 0: none. Each is one word.
  std::atomic_ref<uint64_t> open_node(int fd) { return std::atomic_ref(fixed().open_nodes[fd]); }

  // The mount, from when it serves.
  void note_mount(int fuse, std::span<const std::byte> init);
  bool is_mounted() { return fixed().fuse >= 0; }
  int fuse() { return fixed().fuse; }
  std::span<const std::byte> init() { return {fixed().init, fixed().init_size}; }

  // Something was begun in the stream that nobody would go on with: a scan, or the answer to a want.
  std::atomic<int>& unfinished() { return fixed().unfinished; }
  // A memfd for the next program; -1: it is not meant to take over.
  std::atomic<int>& handover() { return fixed().handover; }

 private:
  struct Fixed {
    Ring ring;
    std::atomic<int> fuse{-1}, unfinished{0}, handover{-1};
    std::atomic<uint32_t> init_size{0};
    std::byte init[kMostInit];
    alignas(4096) uint64_t open_nodes[kMostDescriptors];
  };
  Estate(sys::Region region, bool is_shared);
  Fixed& fixed() { return *reinterpret_cast<Fixed*>(region_.begin()); }

  sys::Region region_;
  bool is_shared_;
};

}  // namespace tfs::journal
