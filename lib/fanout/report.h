// What --status says: the values, and their two forms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/fanout/hub.h"
#include "lib/sys/io.h"
#include "lib/sys/unix_socket.h"

namespace tfs::fanout {

struct ClientReport {
  sys::Peer peer;
  sys::WallTime since;  // when it joined
  Lag lag;
  size_t in_socket = 0;  // memory of the kernel for what was sent and not yet read
};

struct Report {
  std::string socket;
  int64_t pid = 0;
  std::string_view state;  // one of the words of tfs_broadcast(1)
  sys::WallTime since;
  uint64_t frames = 0, bytes = 0, last_seq = 0;
  uint64_t idle_ms = 0;  // since bytes came in
  uint64_t joined = 0, cut_off = 0, ring_bytes = 0;
  std::vector<ClientReport> clients;
};

std::string to_text(const Report& report);
std::string to_json(const Report& report);  // one line

// "2025-11-20T12:39:01Z"
std::string to_text(const sys::WallTime& time);

}  // namespace tfs::fanout
