// The words of a source command. Does no I/O.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tfs::source {

// What %p stands for where nothing is held yet; tfs_buffer --from takes it.
constexpr std::string_view kNoPosition = "none";

// The words with each "%p" replaced by `position` and "%%" by "%"; any other "%" stays.
std::vector<std::string> substitute(const std::vector<std::string>& words, std::string_view position);

}  // namespace tfs::source
