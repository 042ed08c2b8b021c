#include "lib/apply/wants.h"

#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::apply {
namespace {

const std::string kScanWord = "scan ", kDataScanWord = "scan-data ";

bool is_at_or_below(const std::string& path, const std::string& top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

}  // namespace

Wants::~Wants() {
  std::lock_guard guard(channel_->mutex);
  channel_->writer += 1;
  channel_->wake.notify_all();
}

void Wants::attach(sys::Fd out) {
  if (!out.is_open()) return;
  std::lock_guard guard(channel_->mutex);
  channel_->lines.clear();
  channel_->writer += 1;
  channel_->can_ask = true;
  channel_->wake.notify_all();
  std::thread([channel = channel_, out = std::move(out), number = channel_->writer] {
    write_lines(channel, out, number);
  }).detach();
}

void Wants::write_lines(const std::shared_ptr<Channel>& channel, const sys::Fd& out, uint64_t number) {
  std::unique_lock lock(channel->mutex);
  while (true) {
    channel->wake.wait(lock, [&] { return !channel->lines.empty() || channel->writer != number; });
    if (channel->writer != number) return;
    std::string text;
    while (!channel->lines.empty() && text.size() < 65536) {
      text += channel->lines.front();
      channel->lines.pop_front();
    }
    lock.unlock();
    Status status = sys::write_all("apply.wants.write", out.get(), as_bytes(text));
    lock.lock();
    if (status || channel->writer != number) continue;
    channel->can_ask = false;
    return sys::warn("nobody answers wants: " + status.error().message());
  }
}

void Wants::put(std::string line) {
  std::lock_guard guard(channel_->mutex);
  channel_->lines.push_back(std::move(line));
  channel_->wake.notify_all();
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
  std::lock_guard guard(channel_->mutex);
  std::erase_if(channel_->lines,
                [](const std::string& line) { return !line.starts_with(kScanWord) && !line.starts_with(kDataScanWord); });
}

void Wants::ask_scan(const std::string& path) {
  if (!can_ask()) return;
  last_news_ms_ = sys::monotonic_ms();
  put(kScanWord + escape(path) + "\n");
}

void Wants::ask_data_scan(const std::string& path) {
  if (!can_ask()) return;
  last_news_ms_ = sys::monotonic_ms();
  put(kDataScanWord + escape(path) + "\n");
}

bool Wants::is_overdue(int64_t now_ms, int64_t patience_ms) {
  if (!can_ask() || now_ms - last_news_ms_ < patience_ms) return false;
  std::lock_guard guard(channel_->mutex);
  return channel_->lines.empty();
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

void Wants::named(uint64_t id, const std::string& path) {
  auto found = files_.find(id);
  if (found == files_.end() || !found->second.path.empty()) return;
  found->second.path = path;
  ask(id, found->second);
}

void Wants::lost_name(uint64_t id, const std::string& path) {
  auto found = files_.find(id);
  if (found != files_.end() && found->second.path == path) unnamed(id);
}

void Wants::let_go(uint64_t id) {
  auto found = files_.find(id);
  if (found != files_.end() && found->second.path.empty()) files_.erase(found);
}

void Wants::unnamed(uint64_t id) {
  auto found = files_.find(id);
  if (found == files_.end()) return;
  found->second.path.clear();
  ask(id, found->second);
}

}  // namespace tfs::apply
