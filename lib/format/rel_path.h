// What may stand in a frame as a path: relative, no "..", no empty component, no NUL. "." alone is the top of the tree.
// An empty path is no path: the object is known by its file id.
#pragma once

#include <string_view>

namespace tfs::format {

bool is_name(std::string_view name);      // one component, 1 to kMaxName bytes, neither "." nor ".."
bool is_rel_path(std::string_view path);  // "." or names joined by "/", at most kMaxPath bytes

// The directory that holds `path` ("." for a name at the top) and its last name. `path` is no ".".
std::string_view parent_of(std::string_view path);
std::string_view name_of(std::string_view path);

}  // namespace tfs::format
