// Reads of segments, with messages that name file and offset.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "lib/base/bytes.h"
#include "lib/base/result.h"

namespace tfs::spool {

// As much of `into` as the file has at `offset`.
Result<size_t> read_at(const char* op, int fd, const std::string& shown, uint64_t offset, std::span<std::byte> into);

// kCorrupt (or the kind of `why`) "FILE is damaged at byte N: why".
Error damaged(const std::string& shown, uint64_t offset, const Error& why);

// The disk, or what the user may use of it, is full.
bool is_full(const Error& error);

}  // namespace tfs::spool
