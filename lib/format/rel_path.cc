#include "lib/format/rel_path.h"

#include "lib/format/limits.h"

namespace tfs::format {
namespace {

bool is_component(std::string_view name) { return !name.empty() && name.size() <= kMaxName && name != "." && name != ".."; }

}  // namespace

bool is_name(std::string_view name) {
  return is_component(name) && name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool is_rel_path(std::string_view path) {
  if (path == ".") return true;
  if (path.size() > kMaxPath || path.find('\0') != std::string_view::npos) return false;
  while (true) {
    size_t slash = path.find('/');
    if (!is_component(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string_view parent_of(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? "." : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace tfs::format
