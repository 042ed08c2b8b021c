// The mirror's side of a scan: what the source says of itself is compared, and repaired where it differs (or only counted: --check).
//
// The rules are those of the model that tfs_stream(5) SCAN describes. While a scan runs the stream is the truth: ordinary frames clear
// whatever is in their way (forced.cc). What concerns an object that has not been described yet, and is not there as it should
// be, is left: its description comes. Names of one source file share one local inode: objects with several links are kept under
// their source id in the state directory ("ids") while the scan runs, so that this needs no memory and no path.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "lib/apply/doubts.h"
#include "lib/apply/policy.h"
#include "lib/apply/time_range.h"
#include "lib/apply/tree.h"
#include "lib/apply/wants.h"
#include "lib/format/block_hash.h"
#include "lib/format/decode.h"

namespace tfs::apply {

class Scan {
 public:
  // `times`: what the filesystem can hold, where the policy is to take that for the same.
  Scan(Tree& tree, State& state, const Policy& policy, Wants& wants, bool only_checks, const TimeRange& times);
  ~Scan();
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // Whether ordinary frames are to be forced.
  bool is_forcing() const { return !only_checks_ && (is_running_ || state_.is_doubtful()); }
  bool is_running() const { return is_running_; }
  // A scan has ended: with the mirror exact or not.
  enum class Outcome { kNone, kExact, kDiffers };
  Outcome outcome() const { return outcome_; }
  bool has_outcome() const { return outcome_ != Outcome::kNone; }
  Outcome take_outcome();

  Status begin(const format::ScanBegin& r);
  Status list(const format::List& r);
  Status entry(const format::Entry& r, uint64_t id, uint32_t links);
  Status hash(const format::Hash& r, uint64_t id, uint32_t links);
  // Takes flags that forbid changes from what stands at the name, and from the object that is about to be described under it.
  Status lift(const Object& target);
  Status data(const format::Data& r, uint64_t id);
  Status hole(const format::Hole& r, uint64_t id);
  Status given(const format::Given& r, uint64_t id);
  Status end(const format::ScanEnd& r);

  // --- for forced frames

  // Whether what is here is as it should be: the mirror was exact, and nothing that differs has been met since. Then ordinary frames
  // leave nothing to a description that is to come, so that the mirror stays exact whether or not anybody answers its wants.
  bool trusts() const { return state_.is_exact(); }
  // An ordinary frame has met what contradicts that, where the scan may have been already: another one is needed.
  void contradicts(const Object& object, const std::string& what);
  // Whether the object of an ordinary frame is here as the scan has left it; else its description is still to come.
  bool is_settled(const Object& object, uint32_t links);
  bool is_known(uint64_t id) const;
  void forget_known(uint64_t id);  // the object has gone, its number may be used again
  Place known_place(uint64_t id) const;
  // A name that is not yet a name of the known object with that id becomes one, so that what is done to it reaches the object.
  Status join_known(const Object& target);
  // Keeps an object that has got a second link under its id.
  Status note_links(const Place& at, uint64_t id, const Object& shown_as);
  Wants& wants() { return wants_; }
  Doubts& doubts() { return doubts_; }
  // The object of that id is nameless; those that are held and of which nothing is heard in a scan of the whole, are not any more.
  void note_held(uint64_t id) { held_.insert(id); }
  void note_let_go(uint64_t id) { held_.erase(id); }
  // The mirror begins empty: what is held was another's.
  void let_go_all();
  // What stands there is about to lose its last name.
  void name_goes(const Place& at);
  // A name has come into a directory that is being listed in several frames.
  void name_came(std::string_view path);
  // Of another epoch nothing more comes: what it has told so far is forgotten.
  void abandon();
  void settle_wants();
  // Called now and then: what was asked for and has not come for a while is asked for again, or is not needed any more.
  void remind(int64_t now_ms);

 private:
  bool find_known(uint64_t id, struct stat& st) const;
  uint64_t links_in_tree(const struct stat& st, uint64_t id) const;
  void differs(const Object& object, const std::string& what);
  bool fits(const Place& at, const struct stat& st, const format::Entry& r) const;
  Status make_bare(const format::Entry& r, const Object& target);
  Status join_links(const Object& target, uint64_t id, uint32_t links, bool is_directory);
  Status make_fresh(const Object& target, const struct stat& st);
  Status dress(const format::Entry& r, const Object& target);
  Status set_xattrs(int fd, const format::Entry& r, const Object& target);
  Status remove_other_xattrs(int fd, const Object& target);
  void set_running(bool is_running);
  template <class Call>
  ssize_t with_access(int path_fd, std::string_view name, const Call& call);
  void let_go_others();
  Result<int> file_to_fill(const Object& target);
  Result<bool> holds(int fd, ByteView data, uint64_t offset);
  Result<bool> is_zero(int fd, uint64_t offset, uint64_t length);
  template <class IsThere>
  Status check_content(const Object& target, uint64_t offset, uint64_t length, const IsThere& is_there);
  Status allot(int reading, const format::Hash& r, const Object& target);
  Status remove_extra(std::string_view path, const std::unordered_set<std::string>& listed);
  Status check_entry(const format::Entry& r, const Object& target, uint64_t id, uint32_t links);
  void finish(Outcome shown);
  void clear_ids();

  Tree& tree_;
  State& state_;
  const Policy policy_;
  const TimeRange times_;
  Wants& wants_;
  Doubts doubts_;
  const bool only_checks_;
  sys::Fd ids_;
  bool is_running_ = false, has_ended_ = false, is_whole_ = false, was_exact_ = false, needs_another_ = false,
       asks_another_ = false;
  Outcome outcome_ = Outcome::kNone;
  uint64_t seed_ = 0;
  uint64_t names_ = 0, bytes_ = 0, differences_ = 0;
  bool is_quick_ = false;
  bool compares_content_ = false;                 // so does each of the scans under way
  std::unordered_map<uint64_t, uint64_t> id_of_;  // local inode to source id, of objects with several links
  std::unordered_set<uint64_t> noted_;  // the ids of what is kept in ids_, so that it is looked for in vain for nothing else
  std::unordered_set<uint64_t> held_;
  std::unordered_set<uint64_t> refused_;  // ids of which content has come that could not be put anywhere
  std::string listing_;                   // path of a listing in several frames
  std::unordered_set<std::string> listed_;
  std::unordered_set<std::string> right_xattrs_;  // of the ENTRY under way
  bool has_more_xattrs_ = false;                  // the next frame goes on with it
  std::unique_ptr<format::Block> buffer_;
};

}  // namespace tfs::apply
