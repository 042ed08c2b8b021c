#include "lib/dump/json.h"

#include <algorithm>
#include <charconv>

#include "lib/base/escape.h"

namespace tfs::dump {

// Walks a text; each function takes what it is named after off the front, and white space before it.
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : left_(text) {}

  Result<JsonObject> object(bool may_nest) {
    JsonObject object;
    TFS_TRY(expect('{'));
    if (skip('}')) return object;
    do {
      std::string_view key = TFS_TRY(string());
      key = key.substr(1, key.size() - 2);
      TFS_TRY(expect(':'));
      std::string_view value = TFS_TRY(this->value(may_nest));
      if (object.has(key)) return corrupt("\"" + escape(key) + "\" stands there twice");
      if (object.members_.size() == kMaxMembers) return corrupt("an object with too many members");
      object.members_.push_back({key, value});
    } while (skip(','));
    TFS_TRY(expect('}'));
    return object;
  }

  Status array(const std::function<Status(JsonObject&)>& visit) {
    TFS_TRY(expect('['));
    if (skip(']')) return {};
    do {
      JsonObject element = TFS_TRY(object(false));
      TFS_TRY(visit(element));
    } while (skip(','));
    return expect(']');
  }

  Status end() {
    skip_space();
    return left_.empty() ? Status() : unexpected();
  }

 private:
  // The longest line, a RENAME, has 14.
  static constexpr size_t kMaxMembers = 32;

  Result<std::string_view> value(bool may_nest) {
    skip_space();
    if (left_.starts_with('"')) return string();
    if (may_nest && left_.starts_with('[')) {
      std::string_view start = left_;
      TFS_TRY(array([](JsonObject&) { return Status(); }));
      return start.substr(0, start.size() - left_.size());
    }
    return number();
  }

  Result<std::string_view> number() {
    size_t size = std::min(left_.find_first_not_of("0123456789"), left_.size());
    if (size == 0) return unexpected();
    if (size > 1 && left_[0] == '0') return corrupt("a number with a leading zero");
    return cut(size);
  }

  // With the quotes. What its escapes stand for is for json_string() to see.
  Result<std::string_view> string() {
    skip_space();
    if (!left_.starts_with('"')) return unexpected();
    for (size_t i = 1; i < left_.size(); i++) {
      if (left_[i] == '"') return cut(i + 1);
      if (static_cast<unsigned char>(left_[i]) < 0x20) return corrupt("a control character in a string");
      if (left_[i] == '\\') i++;
    }
    return corrupt("a string without an end");
  }

  void skip_space() { left_.remove_prefix(std::min(left_.find_first_not_of(" \t\r"), left_.size())); }

  bool skip(char c) {
    skip_space();
    if (!left_.starts_with(c)) return false;
    left_.remove_prefix(1);
    return true;
  }

  Status expect(char c) { return skip(c) ? Status() : unexpected(); }

  Error unexpected() const {
    if (left_.empty()) return corrupt("the line is not complete");
    return corrupt("no JSON of tfs_dump from here: " + escape(left_.substr(0, 20)));
  }

  std::string_view cut(size_t size) {
    std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }

  std::string_view left_;
};

namespace {

// The one ASCII character of \u and four digits.
Result<char> unicode_escape(std::string_view digits) {
  unsigned code = 0;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (digits.size() != 4 || ec != std::errc() || end != digits.data() + 4 || code >= 0x80) {
    return corrupt("a \\u that is no ASCII character");
  }
  return static_cast<char>(code);
}

}  // namespace

Result<JsonObject> JsonObject::parse(std::string_view text) {
  JsonScanner scanner(text);
  JsonObject object = TFS_TRY(scanner.object(true));
  TFS_TRY(scanner.end());
  return object;
}

Result<std::string_view> JsonObject::take(std::string_view key) {
  for (Member& m : members_) {
    if (m.key != key) continue;
    m.is_taken = true;
    return m.value;
  }
  return corrupt("\"" + std::string(key) + "\" is missing");
}

bool JsonObject::has(std::string_view key) const {
  return std::any_of(members_.begin(), members_.end(), [key](const Member& m) { return m.key == key; });
}

Status JsonObject::finish() const {
  for (const Member& m : members_) {
    if (!m.is_taken) return corrupt("\"" + escape(m.key) + "\" does not belong there");
  }
  return {};
}

Result<uint64_t> json_number(std::string_view value) {
  uint64_t number = 0;
  auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (ec != std::errc() || end != value.data() + value.size()) return corrupt("not a number of 64 bits");
  return number;
}

Result<std::string_view> json_string(std::string_view value, std::string& storage) {
  if (!value.starts_with('"')) return corrupt("not a string");
  value = value.substr(1, value.size() - 2);
  if (value.find('\\') == value.npos) return value;
  storage.clear();
  for (size_t i = 0; i < value.size(); i++) {
    if (value[i] != '\\') {
      storage += value[i];
      continue;
    }
    constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    char letter = value[++i];
    size_t known = letters.find(letter);
    if (known != letters.npos) {
      storage += meanings[known];
    } else if (letter == 'u') {
      storage += TFS_TRY(unicode_escape(value.substr(i + 1, 4)));
      i += 4;
    } else {
      return corrupt("an unknown escape in a string");
    }
  }
  return std::string_view(storage);
}

Status json_each(std::string_view value, const std::function<Status(JsonObject&)>& visit) {
  if (!value.starts_with('[')) return corrupt("not an array");
  return JsonScanner(value).array(visit);
}

}  // namespace tfs::dump
