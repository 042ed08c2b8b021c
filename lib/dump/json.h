// A strict reader of JSON, as much of it as a line of tfs_dump holds: an object whose members are strings, natural numbers and
// arrays of objects whose members are strings and natural numbers. Values stay text until they are asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace tfs::dump {

class JsonObject {
 public:
  // The object that is all of `text`, but for white space around it. It views `text`. kCorrupt for what is no such object,
  // has a key twice, or more members than any line of tfs_dump.
  static Result<JsonObject> parse(std::string_view text);

  // The text of a member's value, which counts as used from then on. kCorrupt where there is none.
  Result<std::string_view> take(std::string_view key);
  bool has(std::string_view key) const;

  // kCorrupt where a member was not taken: it would be lost in silence.
  Status finish() const;

 private:
  friend class JsonScanner;
  struct Member {
    std::string_view key, value;
    bool is_taken = false;
  };
  std::vector<Member> members_;
};

// What a value's text stands for. kCorrupt where it is of another kind.
Result<uint64_t> json_number(std::string_view value);
// Views the text, or `storage` where the string has escapes. Characters beyond ASCII may not be written as \u.
Result<std::string_view> json_string(std::string_view value, std::string& storage);
Status json_each(std::string_view value, const std::function<Status(JsonObject&)>& visit);

}  // namespace tfs::dump
