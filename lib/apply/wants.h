// What a mirror asks its source for: stretches of files that a scan showed to differ, and scans. Written as lines for tfs_scan --wants,
// by a thread of their own, so that a source that does not read them never keeps the stream waiting. The way there may lose lines
// (a connection breaks), so what stays open for a while without any answer is asked for again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/sys/fd.h"

namespace tfs::apply {

class Wants {
 public:
  // Beyond so many files no more are noted, and another scan is needed: memory is bounded.
  static constexpr size_t kMaxFiles = 16384;

  Wants() : channel_(std::make_shared<Channel>()) {}
  ~Wants();
  Wants(const Wants&) = delete;
  Wants& operator=(const Wants&) = delete;

  // Where lines go from now on; until then nothing can be asked for.
  void attach(sys::Fd out);
  bool can_ask() const { return channel_->can_ask; }
  bool is_empty() const { return files_.empty(); }
  size_t open_files() const { return files_.size(); }
  bool has_overflowed() const { return has_overflowed_; }

  void want(uint64_t id, const std::string& path, uint64_t offset, uint64_t length);
  // That stretch has come.
  void given(uint64_t id, uint64_t offset, uint64_t length);
  void drop(uint64_t id);
  void clear();

  // Asks the source to describe itself at and below a path.
  void ask_scan(const std::string& path);
  void ask_data_scan(const std::string& path);  // with content instead of hashes
  // Asks for all that is open once more, where nothing has been asked for or come for `patience_ms`: false where it is too early.
  bool is_overdue(int64_t now_ms, int64_t patience_ms);
  void ask_again();
  std::vector<std::pair<uint64_t, std::string>> open_objects() const;  // id and path

  // Names have changed: what is open is asked for again under the new one.
  void renamed(const std::string& from, const std::string& to);
  void exchanged(const std::string& a, const std::string& b);
  void named(uint64_t id, const std::string& path);      // one more: of use where none is known
  void lost_name(uint64_t id, const std::string& path);  // others may stay
  void unnamed(uint64_t id);                             // reachable by id alone
  void let_go(uint64_t id);                              // no more reachable by its id: gone, where it has no name

 private:
  struct File {
    std::string path;
    std::map<uint64_t, uint64_t> stretches;  // offset to end
  };
  // What is shared with the thread that writes, which may outlive us: a reader that does not read keeps it in write(2).
  struct Channel {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::string> lines;
    uint64_t writer = 0;  // the number of the thread that is to write
    std::atomic<bool> can_ask{false};
  };
  static void write_lines(const std::shared_ptr<Channel>& channel, const sys::Fd& out, uint64_t number);
  void ask(uint64_t id, const File& file);
  void put(std::string line);

  const std::shared_ptr<Channel> channel_;
  std::map<uint64_t, File> files_;
  bool has_overflowed_ = false;
  int64_t last_news_ms_ = 0;
};

}  // namespace tfs::apply
