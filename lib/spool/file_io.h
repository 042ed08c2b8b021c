// Reads of segments, with messages that name file and offset; and of places.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "lib/base/bytes.h"
#include "lib/base/result.h"
#include "lib/spool/layout.h"

namespace tfs::spool {

// As much of `into` as the file has at `offset`.
Result<size_t> read_at(const char* op, int fd, const std::string& shown, uint64_t offset, std::span<std::byte> into);

// The place that a small file holds; nothing where it holds something else. Another process may write it at the same time.
Result<std::optional<PlaceMark>> read_place(const char* op, int fd, const std::string& shown);

// kCorrupt (or the kind of `why`) "FILE is damaged at byte N: why".
Error damaged(const std::string& shown, uint64_t offset, const Error& why);

}  // namespace tfs::spool
