// Who reads requests, and who does them: leader and followers. One thread, the leader, reads a request, does it, and reads the
// next: no hand-over, and what it needs is in its processor's cache. (Several threads that read the same descriptor are woken in
// turn: a request costs up to twice as much, by "make bench".)
//
// What may take long is no business of the leader's: step_aside() gives the lead to another thread before. What turns out to
// take long (a disk, a lock) is noticed by a watch that looks each millisecond while there is work: it takes the lead away and
// gives it to another thread. So a request never waits for another one for much longer than that.
//
// Before it sleeps the leader looks for the next request for up to 50 us, for to be woken costs more than that where the caller
// runs on another processor. It does so only while it pays: after a look in vain it leaves out 1, 2, 4 ... 1024 of them, and it never
// does while more wants to run than there are processors.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace tfs::journal {

class Workers {
 public:
  // What a thread works with: its own buffer, for one.
  struct Slot {
    virtual ~Slot() = default;
  };
  struct Work {
    std::function<std::unique_ptr<Slot>()> make_slot;  // once for each thread, in it
    std::function<bool(Slot&)> receive;                // the leader: waits for a request; false: there will be none any more
    std::function<void(Slot&)> handle;                 // does it
    std::function<void()> on_end;                      // once, by the thread that was told that there will be none
  };

  explicit Workers(Work work);
  ~Workers() = default;  // threads that wait for a connection that will be cut off by the process's end are let be
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void start();

  // Called by handle() before it does what may take long, any number of times: from then on another thread leads.
  static void step_aside();

  // Where requests come another way: look_ahead() returns at once.
  void stop_looking() { looks_ = false; }

  // For receive(): waits a little for `fd` to become readable, where that pays.
  void look_ahead(int fd);

 private:
  static constexpr size_t kMaxThreads = 64;

  struct Thread {
    std::condition_variable wake;
    bool has_lead = false;
    uint64_t turn = 0;  // the lead that it got
    std::unique_ptr<Slot> slot;
  };

  void run(Thread& self);
  void lead(Thread& self);
  void give_lead(uint64_t turn);
  bool take_from(uint64_t turn, uint64_t state);
  void watch();
  void wake_watch();

  // turn_ is (number of the lead) * 2, plus 1 while the leader does a request and may lose the lead.
  static constexpr uint64_t kIsBusy = 1;

  const Work work_;
  std::atomic<uint64_t> turn_{0};
  std::atomic<uint64_t> requests_{0};  // that leaders have begun
  std::atomic<bool> has_ended_{false};

  std::mutex mutex_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Thread*> idle_;  // last in, first out: its cache is the warmest
  bool wants_leader_ = false;  // all threads are at something: the first to be free leads

  std::condition_variable watch_wake_;
  std::atomic<bool> watch_sleeps_{false};

  std::atomic<bool> looks_{true};

  // Of the leader.
  uint32_t looks_left_out_ = 0, vain_looks_ = 0;
  std::atomic<bool> is_crowded_{false};
};

}  // namespace tfs::journal
