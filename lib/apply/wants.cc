#include "lib/apply/wants.h"

#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::apply {
namespace {

const std::string kScanWord = "scan ";

bool is_at_or_below(const std::string& path, const std::string& top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

}  // namespace

Wants::Wants(sys::Fd out) : out_(std::move(out)) {
  if (out_.is_open()) writer_ = std::thread([this] { run(); });
}

Wants::~Wants() {
  {
    std::lock_guard guard(mutex_);
    is_ending_ = true;
    lines_.clear();
    wake_.notify_one();
  }
  // A reader that does not read would keep the thread in write(2): the process ends without it.
  if (writer_.joinable()) writer_.detach();
}

void Wants::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return !lines_.empty() || is_ending_; });
    if (is_ending_) return;
    std::string text;
    while (!lines_.empty() && text.size() < 65536) {
      text += lines_.front();
      lines_.pop_front();
    }
    lock.unlock();
    Status status = sys::write_all("apply.wants.write", out_.get(), as_bytes(text));
    if (!status) {
      sys::warn("nobody answers wants: " + status.error().message());
      return;
    }
    lock.lock();
  }
}

void Wants::put(std::string line) {
  std::lock_guard guard(mutex_);
  lines_.push_back(std::move(line));
  wake_.notify_one();
}

void Wants::ask(uint64_t id, const File& file) {
  for (auto [offset, end] : file.stretches) {
    put(std::to_string(id) + " " + std::to_string(offset) + " " + std::to_string(end - offset) + " " + escape(file.path) + "\n");
  }
}

void Wants::want(uint64_t id, const std::string& path, uint64_t offset, uint64_t length) {
  if (files_.size() >= kMaxFiles && files_.count(id) == 0) {
    has_overflowed_ = true;
    return;
  }
  last_news_ms_ = sys::monotonic_ms();
  File& file = files_[id];
  file.path = path;
  uint64_t& end = file.stretches[offset];
  end = std::max(end, offset + length);
  put(std::to_string(id) + " " + std::to_string(offset) + " " + std::to_string(length) + " " + escape(path) + "\n");
}

void Wants::given(uint64_t id, uint64_t offset, uint64_t length) {
  auto found = files_.find(id);
  if (found == files_.end()) return;
  last_news_ms_ = sys::monotonic_ms();
  auto& stretches = found->second.stretches;
  uint64_t end = offset + length;
  for (auto at = stretches.lower_bound(offset); at != stretches.end() && at->second <= end;) at = stretches.erase(at);
  if (stretches.empty()) files_.erase(found);
}

void Wants::drop(uint64_t id) { files_.erase(id); }

void Wants::clear() {
  files_.clear();
  has_overflowed_ = false;
  std::lock_guard guard(mutex_);
  std::erase_if(lines_, [](const std::string& line) { return !line.starts_with(kScanWord); });
}

void Wants::ask_scan(const std::string& path) {
  if (!can_ask()) return;
  last_news_ms_ = sys::monotonic_ms();
  put(kScanWord + escape(path) + "\n");
}

bool Wants::is_overdue(int64_t now_ms, int64_t patience_ms) {
  if (!can_ask() || now_ms - last_news_ms_ < patience_ms) return false;
  std::lock_guard guard(mutex_);
  return lines_.empty();
}

void Wants::ask_again() {
  last_news_ms_ = sys::monotonic_ms();
  for (const auto& [id, file] : files_) ask(id, file);
}

std::vector<std::pair<uint64_t, std::string>> Wants::open_objects() const {
  std::vector<std::pair<uint64_t, std::string>> objects;
  for (const auto& [id, file] : files_) objects.emplace_back(id, file.path);
  return objects;
}

void Wants::renamed(const std::string& from, const std::string& to) {
  for (auto& [id, file] : files_) {
    if (!is_at_or_below(file.path, from)) continue;
    file.path = to + file.path.substr(from.size());
    ask(id, file);
  }
}

void Wants::exchanged(const std::string& a, const std::string& b) {
  for (auto& [id, file] : files_) {
    if (is_at_or_below(file.path, a)) {
      file.path = b + file.path.substr(a.size());
    } else if (is_at_or_below(file.path, b)) {
      file.path = a + file.path.substr(b.size());
    } else {
      continue;
    }
    ask(id, file);
  }
}

void Wants::unnamed(uint64_t id) {
  auto found = files_.find(id);
  if (found == files_.end()) return;
  found->second.path.clear();
  ask(id, found->second);
}

}  // namespace tfs::apply
