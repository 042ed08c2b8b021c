// The source's side of a scan: a thread that walks the store beside the live work and describes it in the stream. Each frame is true at
// its place, because what it says is read, and the frame is placed, under the locks of the nodes that it is about: no change can
// fall between. A lock is held for one name, one stretch of a listing, or one block of a file at a time.
//
// What cannot be read is not left out: then the scan is given up, without SCANEND, and no mirror takes it for a proof.
//
// While a scan runs, whatever gets a new name is described again under it (moved(), called in the journal section); the rules, and the
// random runs that showed them to be needed, are those of the model that tfs_stream(5) SCAN describes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/control/control.h"
#include "lib/journal/give_way.h"
#include "lib/journal/recorder.h"
#include "lib/journal/store.h"

namespace tfs::journal {

class Scanner {
 public:
  // `unfinished` counts scans that run.
  Scanner(Store& store, NodeTable& table, Recorder& recorder, Output& output, std::atomic<int>& unfinished);
  ~Scanner() { stop(); }
  Scanner(const Scanner&) = delete;
  Scanner& operator=(const Scanner&) = delete;

  // 0, or EBUSY while one runs. `request.scan` gets its name.
  int start(control::ScanRequest& request);
  bool is_running() const { return is_running_; }
  // Ends a scan that runs, without SCANEND.
  void stop();

  // In the journal section: `name` in `dir` means something new; `node` has become nameless and is held.
  void moved(Node& dir, std::string_view name);
  void left_nameless(Node& node);

  // Puts [offset, offset + length) of a file into the stream, then GIVEN. 0 or a positive errno.
  int give(const control::WantRequest& want);

  void fill(control::Status& status) const;
  void fill(control::ScanResult& result) const;  // of result.scan

 private:
  // A reference on a node for as long as this lives, as if the kernel had looked it up.
  class Ref {
   public:
    Ref() = default;
    Ref(NodeTable& table, Node& node) : table_(&table), node_(&node) {}  // takes a lookup that was counted
    Ref(Ref&& other) noexcept : table_(other.table_), node_(std::exchange(other.node_, nullptr)) {}
    Ref& operator=(Ref&& other) noexcept;
    ~Ref();
    Node* get() const { return node_; }

   private:
    NodeTable* table_ = nullptr;
    Node* node_ = nullptr;
  };
  struct Target {
    Ref node;          // a directory, or (with no name) what is to be described itself
    std::string name;  // in it
  };

  // What a name stood for, and Node::changes of its directory then.
  struct Sight {
    struct stat attributes {};
    uint32_t changes = 0;
    int error = 0;
  };
  struct Found {
    Ref node;
    sys::Fd open;  // to read its content, or closed
  };

  void run(control::ScanRequest request);
  bool end_if_done();
  void end_given_up();
  void note_past();
  bool goes_on() const { return !is_stopping_ && failure_.empty(); }
  void give_up(int error, const std::string& what, Node& node, const std::string& name = {});
  ssize_t read_listing(Node& dir, int64_t offset, std::span<char> into);
  void scan(Target target);
  Found describe_name(Node& dir, const std::string& name);
  Found try_to_describe(Node& dir, const std::string& name, size_t& room);
  Ref enter(Node& dir, const std::string& name, Sight& seen);
  sys::Fd describe_object(Node& node);
  void list(Node& dir);
  void describe_content(Node& node, sys::Fd fd);
  int put_block(Node& node, int fd, uint64_t& offset, uint64_t& size);
  int put_content(Node& node, int fd, uint64_t& offset, uint64_t end);
  Ref find(const std::string& path, int& error);
  void wait_for_others();
  void spend(uint64_t bytes);

  Store& store_;
  NodeTable& table_;
  Recorder& recorder_;
  Output& output_;
  std::atomic<int>& unfinished_;

  std::mutex start_mutex_;  // taken first: thread_
  mutable std::mutex mutex_;
  std::thread thread_;
  std::deque<Target> queue_;  // what is to be described
  std::atomic<bool> is_running_{false}, is_stopping_{false};
  std::atomic<uint64_t> scan_{0}, names_{0}, bytes_{0};
  struct Past {
    uint64_t scan;
    std::string failure;  // why it was given up; empty where it was not
  };
  std::deque<Past> past_;  // the last that have come to their end, latest first
  std::string failure_;    // of the one that runs; its thread alone looks at it
  uint64_t seed_ = 0, rate_ = 0;
  uint32_t mode_ = 0;
  int64_t allowance_at_ms_ = 0;
  double allowance_ = 0;
  GiveWay give_way_;
};

}  // namespace tfs::journal
