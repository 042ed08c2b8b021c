// What is in doubt behind a power cut, and how it becomes sure again.
//
// Up to [doubt_from] everything is on disk. What frames behind it touched may be there, half there or not, and nobody knows how far
// the mirror had come. So it goes on behind [doubt_from], by force as in a scan, and notes what each frame touches. Where does that
// end? At the source's head of now: whatever was applied before the cut stands before a scan that is asked for now. So the mirror
// asks for the scan of a name that cannot exist, with a number of its own; when that SCANBEGIN comes by, the list of names is
// complete, and they are scanned, each at and below its path. When the last of these scans has ended well, the mirror is exact.
//
// Hard links, objects without a name, and more names than are kept make it a scan of all.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "lib/apply/wants.h"

namespace tfs::apply {

class Doubts {
 public:
  static constexpr size_t kMaxNames = 4096;

  // Nothing is in doubt until begin().
  void begin(Wants& wants);
  bool is_open() const { return phase_ != Phase::kNone; }
  void end() { phase_ = Phase::kNone; }

  // A frame touches what has this path and so many links; an empty path: what has no name.
  void touch(std::string_view path, uint32_t links);

  void scan_begins(std::string_view path);
  // The scan that began last has ended with all equal. True where nothing is in doubt any more.
  bool scan_ends();

  // Asks once more where no answer came for long.
  void remind(int64_t now_ms);

 private:
  enum class Phase { kNone, kCollecting, kScanning };
  void ask();

  Wants* wants_ = nullptr;
  Phase phase_ = Phase::kNone;
  std::set<std::string, std::less<>> names_;
  std::string marker_, scanning_;
  bool is_all_ = false;
};

}  // namespace tfs::apply
