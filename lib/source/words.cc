#include "lib/source/words.h"

namespace tfs::source {
namespace {

std::string substitute_in(std::string_view word, std::string_view position) {
  std::string out;
  for (size_t i = 0; i < word.size(); i++) {
    char next = word[i] == '%' && i + 1 < word.size() ? word[i + 1] : '\0';
    if (next == 'p') out += position;
    else out += word[i];
    if (next == 'p' || next == '%') i++;
  }
  return out;
}

}  // namespace

std::vector<std::string> substitute(const std::vector<std::string>& words, std::string_view position) {
  std::vector<std::string> out;
  for (const std::string& word : words) out.push_back(substitute_in(word, position));
  return out;
}

}  // namespace tfs::source
