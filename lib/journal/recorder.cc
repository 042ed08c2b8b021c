#include "lib/journal/recorder.h"

#include <sys/random.h>

#include "lib/sys/io.h"

namespace tfs::journal {
namespace {

format::Time now() {
  sys::WallTime t = sys::wall_time();
  return {t.sec, t.nsec};
}

format::Epoch new_epoch() {
  format::Epoch epoch;
  while (epoch.is_none()) {
    [[maybe_unused]] ssize_t n = ::getrandom(epoch.bytes.data(), epoch.bytes.size(), 0);
  }
  return epoch;
}

}  // namespace

Recorder::Recorder(NodeTable& table, Output& output, Source source)
    : table_(table), output_(output), source_(std::move(source)), scratch_(4096) {}

void Recorder::attach(sys::Fd fd, bool store_is_empty) {
  std::lock_guard guard(mutex_);
  if (output_.drain()) {
    epoch_ = new_epoch();
    seq_ = 0;
  }
  output_.attach(std::move(fd), {epoch_, seq_});
  put_hello(store_is_empty);
}

void Recorder::put_hello(bool store_is_empty) {
  format::Hello hello;
  hello.flags = seq_ == 0 && store_is_empty ? format::kHelloEmpty : 0;
  hello.epoch = epoch_;
  hello.time = now();
  hello.host = std::string_view(source_.host).substr(0, format::kMaxText);
  hello.store = std::string_view(source_.store).substr(0, format::kMaxText);
  put({0, 0, 0}, hello, 0, false);  // there is room: Ring::kForRequests
  output_.note_begun();
}

void Recorder::take_up(const format::Position& position, bool goes_on) {
  std::lock_guard guard(mutex_);
  epoch_ = position.epoch;
  seq_ = position.seq;
  if (goes_on || output_.is_lost()) return;
  epoch_ = new_epoch();
  seq_ = 0;
  output_.begin_epoch(epoch_);
  put_hello(false);
}

void Recorder::take_over(const format::Position& position, sys::Fd fd) {
  std::lock_guard guard(mutex_);
  epoch_ = position.epoch;
  seq_ = position.seq;
  if (!fd.is_open()) return;
  output_.attach(std::move(fd), position);
  output_.note_begun();
}

std::string_view Recorder::Section::path(Node& node, std::string& storage) {
  switch (recorder_.table_.path_of(node, storage, format::kMaxPath)) {
    case NodeTable::PathResult::kFound: break;
    case NodeTable::PathResult::kTooDeep: is_lost_ = true; break;
    case NodeTable::PathResult::kNameless:
      if (!recorder_.table_.is_recorded(node)) is_silent_ = true;
      break;
  }
  return storage;
}

std::string_view Recorder::Section::path(Node& dir, std::string_view name, std::string& storage) {
  size_t room = format::kMaxPath - name.size() - 1;
  if (recorder_.table_.path_of(dir, storage, room) != NodeTable::PathResult::kFound) {
    is_lost_ = true;
    return storage;
  }
  if (storage == ".") {
    storage = name;
  } else {
    storage += '/';
    storage += name;
  }
  return storage;
}

Recorder::Paths& Recorder::paths() {
  static thread_local Paths paths;
  return paths;
}

void Recorder::put_gap(uint64_t seq) { put({seq, 0, 0}, format::Gap{seq, now()}, 0, false); }

void Recorder::heartbeat() {
  if (!output_.reserve(kFrameReserve)) return;  // the reader has plenty to read
  {
    std::lock_guard guard(mutex_);
    put({seq_ + 1, 0, 0}, format::Heartbeat{now()}, 0, false);
  }
  output_.release(kFrameReserve);
}

void Recorder::end() {
  output_.wait_and_reserve(kFrameReserve);
  {
    std::lock_guard guard(mutex_);
    put({seq_ + 1, 0, 0}, format::End{now()}, 0, false);
  }
  output_.release(kFrameReserve);
}

format::Position Recorder::position() {
  std::lock_guard guard(mutex_);
  return {epoch_, seq_};
}

}  // namespace tfs::journal
