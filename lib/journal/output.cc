#include "lib/journal/output.h"

#include <utility>

namespace tfs::journal {

void Output::write_here(std::function<void(int)> on_lost) {
  ring_.change_writer();
  ring_.allow_direct();
  writer_ = std::thread([this, told = std::move(on_lost)] { ring_.write_out(told); });
}

Output::~Output() {
  if (writer_.joinable()) static_cast<void>(finish().ok());
}

bool Output::reserve(size_t size) {
  size_t reserved = reserved_;
  do {
    if (!ring_.is_lost() && ring_.used() + reserved + size > Ring::kForRequests) return false;
  } while (!reserved_.compare_exchange_weak(reserved, reserved + size));
  return true;
}

void Output::wait_and_reserve(size_t size) {
  while (true) {
    uint32_t seen = ring_.room_event();
    if (reserve(size)) return;
    ring_.wait_for_room(seen);
  }
}

void Output::release(size_t size) {
  reserved_ -= size;
  ring_.tell_of_room();
}

Status Output::finish() {
  Status status = ring_.finish();
  if (writer_.joinable()) writer_.join();
  return status;
}

}  // namespace tfs::journal
