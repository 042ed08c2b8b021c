#include "lib/base/error.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace tfs {

std::string Error::message() const {
  if (kind != Kind::kSystem || sys_errno == 0) return detail;
  char text[128];
  return detail + ": " + strerror_r(sys_errno, text, sizeof text);
}

Error system_error(const char* op, int sys_errno, std::string detail) {
  return {Kind::kSystem, sys_errno, op, std::move(detail)};
}
Error usage_error(std::string detail) { return {Kind::kUsage, 0, "", std::move(detail)}; }
Error mismatch(std::string detail) { return {Kind::kMismatch, 0, "", std::move(detail)}; }
Error corrupt(std::string detail) { return {Kind::kCorrupt, 0, "", std::move(detail)}; }
Error truncated(std::string detail) { return {Kind::kTruncated, 0, "", std::move(detail)}; }

bool is_full(const Error& error) {
  return error.kind == Kind::kSystem && (error.sys_errno == ENOSPC || error.sys_errno == EDQUOT);
}

}  // namespace tfs
