#include "lib/spool/pump.h"

namespace tfs::spool {
namespace {

// A writer's lock ends a moment after the event that tells of its end: so often, and after so long, we look again.
constexpr int kLooks = 20, kLookMs = 10;

}  // namespace

Pump::Pump(Reader& reader, const Dir& dir, int output, Registration* place_keeper)
    : reader_(reader), watch_(dir), outlet_(output), place_keeper_(place_keeper), place_(reader.place()) {}

Status Pump::send_all() {
  while (true) {
    std::optional<Stretch> stretch = TFS_TRY(reader_.next());
    if (!stretch) return {};
    TFS_TRY(outlet_.send(*stretch));
    place_ = stretch->place;
    TFS_TRY(mark(Mark::kOpen));
  }
}

Status Pump::run() { return send_all(); }

Status Pump::mark(Mark mark) {
  if (place_keeper_ == nullptr) return {};
  return place_keeper_->store(place_, mark);
}

Status Pump::follow(const Stop* over) {
  for (int looks = 0;;) {
    watch_.clear();
    bool is_last = over != nullptr && over->is_set();
    TFS_TRY(send_all());
    if (is_last) return {};
    if (over == nullptr && reader_.has_ended() && !reader_.is_writer_running()) {
      TFS_TRY(send_all());  // what it may have written before it ended
      if (reader_.has_ended()) return {};
    }
    bool looks_again = over == nullptr && reader_.has_ended() && looks > 0;
    bool may_leave = over != nullptr && reader_.has_ended();
    TFS_TRY(watch_.wait(may_leave ? -1 : outlet_.fd(), looks_again ? kLookMs : -1, over != nullptr ? over->event() : -1));
    looks = looks_again ? looks - 1 : kLooks;
  }
}

}  // namespace tfs::spool
