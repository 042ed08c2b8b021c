#include "lib/apply/replay.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "lib/format/rel_path.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::apply {

using format::Frame;
using format::Record;
using format::RecordType;

namespace {

Error located(Error error, uint64_t offset) {
  if (error.kind == Kind::kCorrupt) error.detail += " (at byte " + std::to_string(offset) + " of the stream)";
  return error;
}

}  // namespace

Replay::Replay(State* state, Applier* applier, Scan* scan, const ReplayOptions& options,
               std::function<void(const Frame&, const Record&)> tell)
    : state_(state), applier_(applier), scan_(scan), options_(options), tell_(std::move(tell)) {
  if (state_ != nullptr) applied_ = state_->position().seq;
}

Status Replay::filled(size_t size) {
  deframer_.filled(size);
  return drain();
}

Status Replay::resume() {
  TFS_CHECK(is_stuck_);
  TFS_TRY(run(items_[here_]));
  is_stuck_ = false;
  return drain();
}

// One frame ahead, so that each knows whether the next one goes on with the same file.
Status Replay::drain() {
  while (!is_done_) {
    if (!has_next_) pull();
    if (!next_is_wrong_) return next_is_wrong_;
    if (!has_next_) return {};
    here_ = 1 - here_;
    has_next_ = false;
    pull();
    const Item& item = items_[here_];
    Status status = take(item);
    is_stuck_ = !status && status.error().kind == Kind::kSystem;
    if (!status) return located(std::move(status).error(), item.offset);
  }
  return {};
}

// The next frame, if it has come whole, or what is wrong with it.
void Replay::pull() {
  if (!next_is_wrong_) return;
  Item& item = items_[1 - here_];
  item.offset = deframer_.offset();
  Result<std::optional<Frame>> frame = deframer_.next();
  if (!frame) {
    next_is_wrong_ = located(std::move(frame).error(), item.offset);
    return;
  }
  if (!frame->has_value()) return;
  item.frame = **frame;
  Status status = format::decode(item.frame, item.record);
  bool may_skip = !status && name_of(item.frame.header.type).empty() && (item.frame.header.flags & format::kFlagSkippable);
  if (may_skip) item.record = format::Heartbeat{};
  has_next_ = status.ok() || may_skip;
  if (!has_next_) next_is_wrong_ = located(std::move(status).error(), item.offset);
}

Status Replay::finish() const {
  if (is_done_ && applier_ != nullptr && !options_.only_checks && !state_->is_exact()) {
    return mismatch("the stream ended before the mirror was exact: it needs a scan");
  }
  if (is_done_ && options_.only_checks && applier_ != nullptr && !is_checked_)
    return Error{Kind::kSystem, 0, "apply.check.end", "the stream ended before a scan of the whole: nothing is proved"};
  if (is_done_) return {};
  TFS_TRY(deframer_.finish());
  return sequence_.finish();
}

namespace {

// So many frames at most count as applied together: how far the mirror is, is told between.
constexpr uint32_t kLargestGroup = 100;

// What a frame does to content or attributes can be done again as often as need be, together with what follows it; so can a birth, as
// long as no name goes.
template <class R>
constexpr bool kIsChange = std::is_same_v<R, format::Write> || std::is_same_v<R, format::Truncate> ||
                           std::is_same_v<R, format::SetAttr> || std::is_same_v<R, format::Fallocate>;
template <class R>
constexpr bool kIsBirth =
    std::is_same_v<R, format::Create> || std::is_same_v<R, format::Mkdir> || std::is_same_v<R, format::Symlink>;

// The path of such a frame; empty for all others, for what has no name, and for the root.
std::string_view path_of(const Record& record, bool& is_birth) {
  std::string_view path = std::visit(
      [&is_birth](const auto& r) -> std::string_view {
        using R = std::decay_t<decltype(r)>;
        is_birth = kIsBirth<R>;
        if constexpr (kIsChange<R> || kIsBirth<R>) return r.path;
        return {};
      },
      record);
  return path == "." ? std::string_view() : path;
}

bool is_continued(const Record& record, const Record& next) {
  const auto *first = std::get_if<format::Write>(&record), *second = std::get_if<format::Write>(&next);
  return first != nullptr && second != nullptr && second->offset == first->offset + first->data.size();
}

}  // namespace

// Whether this frame and the one behind it, and more of them, count as applied together. All of them are done again in their order where
// one was cut off: so each must come to the same when it is done twice. Then each counts by itself, lest a mirror that is killed again and
// again get no further.
Applier::Next Replay::next_of(const Item& item, bool again) const {
  using Next = Applier::Next;
  if (again || !has_next_ || scan_->is_running() || scan_->is_forcing() || group_size_ >= kLargestGroup) return Next::kOther;
  const Item& next = this->next();
  uint64_t seq = item.frame.header.seq;
  if (next.frame.header.seq != seq + 1) return Next::kOther;
  if (options_.until && options_.until->seq == seq) return Next::kOther;
  bool is_birth = false, is_next_birth = false;
  std::string_view path = path_of(item.record, is_birth), next_path = path_of(next.record, is_next_birth);
  if (path.empty() || next_path.empty()) return Next::kOther;
  if (!is_next_birth && path == next_path && next.frame.header.id == item.frame.header.id) {
    return is_continued(item.record, next.record) ? Next::kWrite : Next::kFile;
  }
  if (format::parent_of(path) == format::parent_of(next_path)) return Next::kDirectory;
  return applier_->goes_elsewhere() ? Next::kElsewhere : Next::kOther;
}

Status Replay::take(const Item& item) {
  const Frame& frame = item.frame;
  const Record& record = item.record;
  if (Status status = sequence_.take(frame, record); !status) {
    end_group();
    return status;
  }
  if (const auto* hello = std::get_if<format::Hello>(&record)) return join(*hello);

  uint64_t first = frame.header.seq;
  const auto* gap = std::get_if<format::Gap>(&record);
  if (gap != nullptr) first = gap->first;
  if (!is_attached_) TFS_TRY(attach(first));
  if (is_waiting_) {
    const auto* begin = std::get_if<format::ScanBegin>(&record);
    is_done_ = sequence_.has_ended();
    if (begin == nullptr || !(begin->flags & format::kScanWhole)) return {};
    is_waiting_ = false;
    applied_ = frame.header.seq - 1;
    state_->set_unproved({sequence_.position().epoch, applied_});
  }
  if (frame.header.seq <= applied_ || is_at_stop()) {
    is_done_ = sequence_.has_ended() || is_at_stop();  // passed over: it was applied before, or is not wanted
    return {};
  }
  if (gap != nullptr) {
    return need_scan(mismatch("the source lost the frames " + std::to_string(first) + " to " + std::to_string(frame.header.seq) +
                              ": the mirror needs a scan"));
  }
  return run(item);
}

// The stream's epoch must be the one that is held.
Status Replay::join(const format::Hello& hello) {
  hello_ = hello;
  if (state_ != nullptr && applier_ != nullptr) note_source_time(hello.time);
  // What was asked for, or has begun, in another epoch of this stream is not to come in this one. Where it has broken off and is another
  // stream now, the position tells.
  std::optional<format::Epoch> before = std::exchange(epoch_, hello.epoch);
  bool is_another = before && *before != hello.epoch;
  if (is_waiting_ && is_another) ask_for_scan();
  if (scan_ != nullptr && scan_->is_running() && is_another && !is_waiting_) {
    return need_scan(mismatch("the scan was cut off by the epoch " + to_text(hello.epoch) + ": the mirror needs another one"));
  }
  if (state_ == nullptr || !state_->has_position()) return {};
  format::Position held = state_->position();
  if (held.epoch == hello.epoch) return {};
  return need_scan(mismatch("the mirror is at " + to_text(held) + ", the stream is of the epoch " + to_text(hello.epoch) +
                            ": the mirror needs a scan"));
}

// Status 3, or patience: then nothing is applied until the source describes itself.
Status Replay::need_scan(const Error& why) {
  if (!options_.waits_for_scan || scan_ == nullptr || options_.only_checks) return why;
  sys::say(why.message());
  scan_->abandon();
  ask_for_scan();
  state_->invalidate();
  scan_->doubts().end();
  is_attached_ = is_waiting_ = true;
  return {};
}

void Replay::ask_for_scan() {
  if (!scan_->wants().can_ask()) return sys::say("waiting for a scan (tfs_scan at the source)");
  bool has_nothing = options_.dir_is_empty && state_->block().frames == 0;
  sys::say(has_nothing ? "asking for all content" : "asking for a scan");
  has_nothing ? scan_->wants().ask_data_scan(".") : scan_->wants().ask_scan(".");
}

// The first numbered frame: does the stream go on where the mirror is?
Status Replay::attach(uint64_t first) {
  if (state_ != nullptr && state_->has_position()) {
    if (first > applied_ + 1) {
      return need_scan(mismatch("the mirror is at " + to_text(state_->position()) + ", the stream goes on at frame " +
                                std::to_string(first) + ": ask the source for that position, or scan"));
    }
  } else {
    bool begins_empty = first == 1 && (hello_.flags & format::kHelloEmpty) && options_.dir_is_empty;
    if (!begins_empty && !options_.assumes_equal) {
      return need_scan(
          mismatch("the mirror has no position: it must begin empty with a stream that begins with an empty store, "
                   "or be made equal by a scan (--assume-equal if it is equal already)"));
    }
    applied_ = first - 1;
    if (state_ != nullptr && applier_ != nullptr) {
      format::Position here{sequence_.position().epoch, applied_};
      if (begins_empty) scan_->let_go_all();
      begins_empty ? state_->begin_empty(here) : state_->set_unproved(here);
      is_vouched_ = !begins_empty;
    }
  }
  is_attached_ = true;
  if (applier_ != nullptr && !options_.only_checks && state_->is_doubtful()) resolve_doubts();
  return {};
}

// A mirror that was not exact when it was left follows the stream and gets what it needs to be exact again.
void Replay::resolve_doubts() {
  if (scan_->doubts().is_open() || scan_->is_running()) {  // the stream broke off for a moment, and took questions with it
    scan_->doubts().remind(INT64_MAX);
    return scan_->remind(INT64_MAX);
  }
  bool is_all = state_->doubt_from() == State::kDoubtAll;
  if (!scan_->wants().can_ask()) {
    sys::say(
        is_all ? "the mirror is not exact: it needs a scan (tfs_scan at the source)"
               : "the machine went down unsynced: what has changed since is in doubt, and needs a scan (tfs_scan at the source)");
  } else if (is_all) {
    sys::say("the mirror is not exact: asking for a scan");
    scan_->wants().ask_scan(".");
  } else {
    sys::say("the machine went down unsynced: having what has changed since scanned");
    scan_->doubts().begin(scan_->wants());
  }
}

// Whether [until] is applied, now or before.
bool Replay::is_at_stop() const {
  return options_.until && options_.until->epoch == sequence_.position().epoch && applied_ >= options_.until->seq;
}

Status Replay::run(const Item& item) {
  const Frame& frame = item.frame;
  const Record& record = item.record;
  uint64_t seq = frame.header.seq;
  if (is_vouched_) TFS_TRY(state_->set_exact(state_->position()));
  is_vouched_ = false;
  if (applier_ == nullptr) {
    tell_(frame, record);
  } else if (!is_applied_) {
    bool again = state_->is_pending(seq);
    Applier::Next next = next_of(item, again);
    state_->begin(seq);
    Status status = applier_->apply(frame, record, again, next);
    if (!status) end_group();
    if (!status && status.error().kind != Kind::kSystem) TFS_TRY(refuse(again));
    if (!status && status.error().kind == Kind::kMismatch && !scan_->is_forcing() && !scan_->is_running())
      return need_scan(status.error());
    TFS_TRY(std::move(status));
    group_size_ = next == Applier::Next::kOther ? 0 : group_size_ + 1;
    if (group_size_ == 0) state_->finish(seq);
    note(frame, record);
    if (scan_->is_running()) scan_->remind(sys::monotonic_ms());
    is_applied_ = true;
  }
  if (applier_ != nullptr) TFS_TRY(take_outcome());
  is_applied_ = false;
  applied_ = seq;
  is_done_ = is_done_ || std::holds_alternative<format::End>(record) || is_at_stop();
  return {};
}

// What has been applied before a frame that failed is not done again with it.
void Replay::end_group() {
  if (group_size_ == 0 || !applier_->settle()) return;
  state_->finish(applied_);
  group_size_ = 0;
}

// The frame does not fit and, where it was not done before, has changed nothing: the next run must not take what is in its way for what it
// has made.
Status Replay::refuse(bool again) {
  applier_->drop_rest();
  if (again) return {};
  if (group_size_ > 0) {
    state_->finish(applied_);
    state_->doubt_all();
    group_size_ = 0;
  }
  state_->abandon();
  return state_->write_bad_news();
}

// For the list of what is in doubt, and for those who ask how it goes.
void Replay::note(const Frame& frame, const Record& record) {
  StateBlock& block = state_->block();
  block.frames.fetch_add(1, std::memory_order_relaxed);
  block.bytes.fetch_add(frame.header.size, std::memory_order_relaxed);
  if (scan_->doubts().is_open()) {
    scan_->doubts().remind(sys::monotonic_ms());
    note_doubt(frame.header.type, record);
  }
  if (const auto* heartbeat = std::get_if<format::Heartbeat>(&record)) note_source_time(heartbeat->time);
}

void Replay::note_doubt(RecordType type, const Record& record) {
  bool is_change = type >= RecordType::kCreate && type < RecordType::kScanBegin && type != RecordType::kSync;
  if (!is_change) return;
  Doubts& doubts = scan_->doubts();
  auto touch = [&](const auto& r) {
    if constexpr (requires { r.path; }) doubts.touch(r.path);
    if constexpr (requires { r.new_path; }) doubts.touch(r.new_path);
    if constexpr (requires { r.new_path; }) doubts.moved(r.path, r.new_path);
  };
  std::visit(touch, record);
  if (const auto* unlink = std::get_if<format::Unlink>(&record); unlink != nullptr && (unlink->flags & format::kUnlinkKeep)) {
    doubts.left_nameless(unlink->path);
  }
  if (const auto* rename = std::get_if<format::Rename>(&record)) {
    if (rename->flags & format::kRenameKeep) doubts.left_nameless(rename->new_path);
    if (rename->flags & format::kRenameExchange) doubts.moved(rename->new_path, rename->path);
  }
}

void Replay::note_source_time(const format::Time& time) {
  StateBlock& block = state_->block();
  block.source_time_ms = std::max<int64_t>(block.source_time_ms, time.sec * 1000 + time.nsec / 1'000'000);
}

void Replay::note_heard() {
  if (state_ == nullptr || applier_ == nullptr) return;
  StateBlock& block = state_->block();
  sys::WallTime now = sys::wall_time();
  block.heard_at_ms = now.sec * 1000 + now.nsec / 1'000'000;
  block.open_wants = scan_->wants().open_files();
  block.activity = scan_->is_running() ? Activity::kScanning : state_->is_exact() ? Activity::kFollowing : Activity::kNeedsScan;
}

void Replay::note_stuck(const std::string& why) {
  if (state_ == nullptr || applier_ == nullptr) return;
  StateBlock& block = state_->block();
  size_t size = why.copy(block.trouble, sizeof block.trouble - 1);
  block.trouble[size] = '\0';
  block.activity = Activity::kStuck;
}

// What a scan that ends with this frame has shown.
Status Replay::take_outcome() {
  TFS_TRY(state_->write_bad_news());
  if (!scan_->has_outcome()) return {};
  format::Position here = state_->position();
  if (scan_->outcome() == Scan::Outcome::kExact) TFS_TRY(state_->set_exact(here));
  if (options_.only_checks) is_done_ = is_checked_ = true;
  if (scan_->take_outcome() == Scan::Outcome::kDiffers) {
    Error error = mismatch("the mirror is not equal to its source at " + to_text(here));
    return options_.only_checks || state_->has_position() ? Status(error) : need_scan(error);
  }
  sys::say("exact at " + to_text(here));
  return {};
}

}  // namespace tfs::apply
