// What is in doubt behind a power cut, and how it becomes sure again.
//
// Up to [doubt_from] everything is on disk. What frames behind it touched may be there, half there or not, and nobody knows how far
// the mirror had come. So it goes on behind [doubt_from], by force as in a scan, and notes what each frame touches. Where does that
// end? At the source's head of now: whatever was applied before the cut stands before a scan that is asked for now. So the mirror
// asks for the scan of a name that cannot exist, with a number of its own; when that SCANBEGIN comes by, the list of names is
// complete, and they are scanned, each at and below its path. When the last of these scans has ended well, the mirror is exact.
//
// Meanwhile the stream goes on, and what is still to be scanned may get another name: that is scanned, too.
//
// Objects without a name, files with several links (a scan of some of their names cannot tell whether they are one), and more names
// than are kept make it a scan of all.
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

  // What a frame changes, behind the change: what has this path, or (an empty one) what has no name.
  void touch(std::string_view path);
  // What stood at `from` stands at `to`, or there as well.
  void moved(std::string_view from, std::string_view to);
  // What had this path lives on without a name.
  void left_nameless(std::string_view path);
  // What a scan describes has several links.
  void meets_links();
  // Names do not say all that is in doubt.
  void doubt_all();

  // `goes_on`: in one with those before, whose end is still to come.
  void scan_begins(std::string_view path, bool goes_on);
  // A scan has found a difference: whether that says nothing about what is not in doubt.
  bool expects_difference();
  // The scans that began since the last time have ended with all equal, and prove it, or else have to be made again. True where nothing
  // is in doubt any more.
  bool scan_ends(bool are_proof);

  // Asks once more where no answer came for long.
  void remind(int64_t now_ms);

 private:
  enum class Phase { kNone, kCollecting, kScanning };
  using Names = std::set<std::string, std::less<>>;
  bool is_scanned(std::string_view path) const;
  bool is_to_be_scanned(std::string_view path) const;
  void ask();
  void ask_again(const Names& names);

  Wants* wants_ = nullptr;
  Phase phase_ = Phase::kNone;
  Names names_;    // in doubt
  Names scanned_;  // of scans that have begun, and not ended with all equal
  std::string marker_;
  bool is_all_ = false;
};

}  // namespace tfs::apply
