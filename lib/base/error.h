// What went wrong, made once at the place that knows, and carried unchanged to the place that acts on it.
#pragma once

#include <string>
#include <string_view>

namespace tfs {

// A kind exists because a caller acts on it: each is an exit status of tfs(7).
enum class Kind {
  kSystem,     // the kernel refused: status 1
  kUsage,      // wrong arguments: status 2
  kMismatch,   // the stream does not fit what is held: status 3
  kCorrupt,    // damaged bytes: status 3
  kTruncated,  // the stream broke off: status 4
};

struct Error {
  Kind kind = Kind::kSystem;
  int sys_errno = 0;    // of kSystem, else 0
  const char* op = "";  // op tag "module.what.call", unique in the tree; a literal
  std::string detail;   // "unable to VERB OBJECT" or the whole reason, already escaped

  // One line without a newline: "detail: reason".
  std::string message() const;
};

Error system_error(const char* op, int sys_errno, std::string detail);
Error usage_error(std::string detail);
Error mismatch(std::string detail);
Error corrupt(std::string detail);
Error truncated(std::string detail);

// The disk, or what the user may use of it, is full.
bool is_full(const Error& error);

}  // namespace tfs
