// The mount: the FUSE connection, its threads, and the way in and out.
//
// Threads: workers.h tells who takes requests from /dev/fuse; an fsync or a cold read never keeps the next request waiting. A
// request that would change something while the journal's ring is full is put aside and done by one thread of its own when there
// is room: the others go on reading.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "lib/journal/control.h"
#include "lib/journal/estate.h"
#include "lib/journal/filesystem.h"
#include "lib/journal/flusher.h"
#include "lib/journal/redo.h"
#include "lib/journal/uring_queues.h"
#include "lib/journal/workers.h"

struct fuse_session;
struct fuse_buf;
struct fuse_args;

namespace tfs::journal {

struct MountOptions {
  std::string mountpoint;                                         // absolute
  std::string store;                                              // absolute, shown as the filesystem's name
  std::vector<std::string> fuse;                                  // words of -o that are libfuse's
  bool shows_uid = false, shows_gid = false, shows_mode = false;  // -o uid=, gid=, umask=: what stat(2) shows
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t umask = 0;
  bool is_debug = false;
  bool has_writeback = false;              // -o writeback_cache
  bool has_uring = false;                  // -o io_uring
  std::chrono::milliseconds max_delay{0};  // of what lies in the kernel's page cache (flusher.h); 0: as the kernel likes
};

class Session {
 public:
  Session(Filesystem& filesystem, Output& output, Control& control, Estate& estate);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Status mount(const MountOptions& options);
  // The same for a mount that another program has served, open at `fuse`: `init` is what the kernel asked it first.
  Status take_over(const MountOptions& options, sys::Fd fuse, std::span<const std::byte> init);

  // The same for one whose server was killed, as its estate has it: for what it had begun and what it had read there are flights.
  Status take_up(const MountOptions& options);
  bool has_doubtful(Redo& redo);  // whether something was begun that its stream cannot tell of
  // Then: does again what had begun, and puts aside what had not. Before start().
  void do_again(Redo& redo);

  // Starts the workers. `on_end` is called once, from one of them, when the mount has gone away from outside.
  void start(std::function<void()> on_end);
  // Until the kernel has begun to ask, or the mount has gone: from then on there is something to be kept. Behind start().
  void wait_until_asked() { is_asked_.wait(false); }

  // Whether requests come through io_uring: then it cannot be paused, for the kernel takes back no entry.
  bool uses_uring() const { return queues_ != nullptr; }

  // Takes no more requests, and returns when all that were taken are answered; false, and nothing is changed, where that takes longer
  // than so much. Until unpause() the mount's programs wait.
  bool pause(std::chrono::milliseconds patience);
  void unpause();
  // For a successor.
  int fuse_descriptor() const;
  std::span<const std::byte> init_request() const { return init_request_; }

  // Unmounts, waits for what is being done, and ends: nothing is recorded after it. Once.
  Status stop();

  const MountOptions& options() const { return options_; }
  Filesystem& filesystem() { return filesystem_; }
  Control& control() { return control_; }
  ::fuse_session* handle() { return session_; }

 private:
  struct Buffer;
  friend struct SessionHooks;

  Status prepare(const MountOptions& options, const char* mountpoint);
  void start_flusher();
  void wait_while_paused();
  void prepare_queues(const std::string& mountpoint);
  void take_from(UringEntry& entry);
  bool receive(Buffer& buffer);
  void take(Buffer& buffer);
  void work_parked();
  bool needs_room(const Buffer& buffer);
  void park(const Buffer& buffer);
  std::unique_ptr<Buffer> make_buffer();
  bool is_waited_for(Flight& flight);
  void do_again(Flight& flight, bool is_done);
  void handle_request(Buffer& buffer);
  void process(Buffer& buffer);
  bool process_raw(Buffer& buffer);
  void patch_init_reply(void* reply, size_t size);
  void note_init_request(const void* request, size_t size);
  void note_asked();

  Filesystem& filesystem_;
  Output& output_;
  Control& control_;
  Estate& estate_;
  std::unique_ptr<Flights> flights_;  // where there may be a successor
  MountOptions options_;
  ::fuse_session* session_ = nullptr;
  bool is_mounted_ = false;
  std::function<void()> on_end_;

  std::unique_ptr<Flusher> flusher_;     // where a delay is given
  std::unique_ptr<UringQueues> queues_;  // where requests come that way
  std::atomic<bool> has_ring_requests_{false};

  std::atomic<bool> is_stopping_{false}, has_ended_{false};
  std::atomic<int> busy_{0};  // requests that are being done, or are put aside
  Workers workers_;

  std::mutex parked_mutex_;
  std::condition_variable parked_wake_;
  std::deque<std::unique_ptr<Buffer>> parked_;
  std::thread parked_worker_;

  std::mutex pause_mutex_;
  std::condition_variable pause_changed_;
  std::atomic<bool> is_pausing_{false};
  bool is_paused_ = false;  // the one that reads requests waits

  bool has_taken_over_ = false;
  std::atomic<bool> swallows_reply_{false};
  std::vector<std::byte> init_request_;
  std::atomic<bool> saw_init_{false}, patched_init_{false}, is_asked_{false};
  uint64_t offered_ = 0;  // INIT flags of this kernel
};

}  // namespace tfs::journal
