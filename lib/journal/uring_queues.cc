#include "lib/journal/uring_queues.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "lib/journal/credentials.h"
#include "lib/sys/apart.h"
#include "lib/sys/message.h"

namespace tfs::journal {
namespace {

constexpr unsigned kCheckUs = 10'000;
constexpr uint32_t kRegister = 1, kCommitAndFetch = 2;  // enum fuse_uring_cmd

struct CommandArguments {  // struct fuse_uring_cmd_req
  uint64_t flags, commit_id;
  uint16_t queue;
  uint8_t padding[6];
};
static_assert(sizeof(CommandArguments) == 24);

// "possible": the kernel has a queue for each. "online": those that are on. "0-3,8" are five.
std::vector<size_t> processors(const char* kind) {
  std::string text;
  std::getline(std::ifstream(std::string("/sys/devices/system/cpu/") + kind), text);
  const char *at = text.data(), *end = at + text.size();
  std::vector<size_t> numbers;
  while (at < end) {
    size_t first = 0, last = 0;
    at = std::from_chars(at, end, first).ptr;
    last = first;
    if (at < end && *at == '-') at = std::from_chars(at + 1, end, last).ptr;
    for (size_t number = first; number <= last && number < UINT16_MAX; number++) numbers.push_back(number);
    at += 1;
  }
  return numbers;
}

bool is_switched_on() {
  char value = 'N';
  std::ifstream("/sys/module/fuse/parameters/enable_uring") >> value;
  return value == 'Y';
}

// False where the system has none to spare: whoever is there already has to do.
template <class Work>
bool start_thread(Work work) {
  try {
    std::thread(std::move(work)).detach();
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

bool go_to_processor(size_t number) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (number >= CPU_SETSIZE) return false;
  CPU_SET(number, &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

bool can_go_to_processor(size_t number) {
  cpu_set_t before;
  if (::sched_getaffinity(0, sizeof before, &before) != 0) return false;
  bool can = go_to_processor(number);
  ::sched_setaffinity(0, sizeof before, &before);
  return can;
}

// As the user has said with taskset(1).
bool may_run_on(size_t number) {
  cpu_set_t allowed;
  return number < CPU_SETSIZE && ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_ISSET(number, &allowed);
}

}  // namespace

UringQueues::UringQueues(std::string mountpoint, std::function<void(UringEntry&)> handle)
    : mountpoint_(std::move(mountpoint)), handle_(std::move(handle)) {}

Status UringQueues::prepare() {
  if (!is_switched_on()) {
    return Error{Kind::kSystem, 0, "journal.uring.parameter",
                 "it wants Linux 6.14 or newer, and Y in /sys/module/fuse/parameters/enable_uring"};
  }
  size_t count = processors("possible").size();
  if (count == 0) return Error{Kind::kSystem, 0, "journal.uring.processors", "unable to read /sys/devices/system/cpu/possible"};
  std::vector<size_t> online = processors("online");
  news_.emplace(TFS_TRY(sys::Region::reserve(count * sizeof(News), count * sizeof(News), true)));
  TFS_TRY(start_asking());
  uint32_t wanted = 0;
  for (size_t number = 0; number < count; number++) {
    queues_.push_back(std::make_unique<Queue>());
    Queue& queue = *queues_.back();
    queue.number = static_cast<uint16_t>(number);
    queue.news = reinterpret_cast<News*>(news_->begin()) + number;
    wanted += start_threads(queue, std::ranges::count(online, number) != 0);
  }
  for (uint32_t n = 0; (n = prepared_count_) < wanted;) prepared_count_.wait(n);
  std::lock_guard guard(mutex_);
  return prepared_;
}

Status UringQueues::start_asking() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("journal.uring.pipe", errno, "unable to make a pipe");
  sys::Fd from(ends[0]);
  asking_ = sys::Fd(ends[1]);
  pid_t pid = sys::start_apart([&] { return ask_as_told(from.get()); }, from.get());
  return pid < 0 ? Status(system_error("journal.uring.fork", errno, "unable to start a process")) : Status();
}

// The first ones; how many. A processor that is off asks nothing, and when it comes on we may go there like anybody else.
uint32_t UringQueues::start_threads(Queue& queue, bool is_online) {
  queue.can_grow = !is_online || can_go_to_processor(queue.number);
  int count = !is_online ? 1 : queue.can_grow ? kFirst : kFixed;
  queue.threads = count;
  for (int i = 0; i < count; i++) {
    if (start_thread([this, &queue] { run_first(queue); })) continue;
    std::lock_guard guard(mutex_);
    if (prepared_) prepared_ = system_error("journal.uring.thread", EAGAIN, "unable to start a thread");
    return static_cast<uint32_t>(i);
  }
  return static_cast<uint32_t>(count);
}

void UringQueues::start(int fuse) {
  fuse_ = fuse;
  fuse_.notify_all();
}

Result<sys::CommandRing> UringQueues::set_up(const Queue& queue) {
  prepare_thread();
  if (may_run_on(queue.number)) go_to_processor(queue.number);
  return sys::CommandRing::make();
}

void UringQueues::run_first(Queue& queue) {
  Result<sys::CommandRing> ring = set_up(queue);
  Result<UringEntry> entry = UringEntry::make();
  {
    std::lock_guard guard(mutex_);
    if (prepared_ && !ring) prepared_ = ring.error();
    if (prepared_ && !entry) prepared_ = entry.error();
  }
  prepared_count_ += 1;
  prepared_count_.notify_all();
  if (!ring || !entry) return;
  fuse_.wait(-1);
  serve(queue, *ring, *entry, true);
}

// Where there is no memory for another one, the queue has to do with those that it has.
void UringQueues::run_further(Queue& queue) {
  Result<sys::CommandRing> ring = set_up(queue);
  Result<UringEntry> entry = UringEntry::make();
  if (ring && entry) serve(queue, *ring, *entry, false);
  queue.threads -= 1;
}

void UringQueues::serve(Queue& queue, sys::CommandRing& ring, UringEntry& entry, bool is_first) {
  CommandArguments arguments{};
  arguments.queue = queue.number;
  auto bytes = std::as_bytes(std::span(&arguments, 1));
  auto buffers = entry.buffers();
  queue.free += 1;
  ring.start(fuse_, kRegister, buffers, bytes);
  if (!is_first) {
    queue.news->entries += 1;
    static_cast<void>(::write(asking_.get(), &queue.number, sizeof queue.number) < 0);
  }
  int result = ring.wait();
  while (result == 0) {
    note_taken(queue);
    bool is_whole = entry.open_request();
    arguments.commit_id = entry.unique();
    is_whole ? handle_(entry) : entry.refuse(EIO);
    entry.wait_until_answered();
    queue.free += 1;
    result = commit(queue, ring, bytes);
  }
  queue.free -= 1;
  // Else unmounted.
  if (result != -ENOTCONN && result != -ECONNABORTED) sys::warn(std::string("io_uring of the mount: ") + std::strerror(-result));
}

void UringQueues::note_taken(Queue& queue) {
  int left = queue.free.fetch_sub(1) - 1;
  if (left >= kSpare || !queue.can_grow) return;
  bool is_started = queue.threads.fetch_add(1) < kMost && start_thread([this, &queue] { run_further(queue); });
  if (!is_started) queue.threads -= 1;
}

// And waits for the next request.
int UringQueues::commit(Queue& queue, sys::CommandRing& ring, ByteView arguments) {
  uint32_t entries = queue.news->entries;
  if (entries == queue.news->checked) return ring.run(fuse_, kCommitAndFetch, {}, arguments);
  ring.start(fuse_, kCommitAndFetch, {}, arguments);
  if (!ring.has_ended()) queue.news->checked = entries;
  return ring.wait();
}

// In a process of its own, until ours ends. What asks may have to wait, and another one asks then.
int UringQueues::ask_as_told(int from) {
  uint16_t number = 0;
  ::signal(SIGCHLD, SIG_IGN);  // nobody waits for them
  while (::read(from, &number, sizeof number) == sizeof number) {
    pid_t pid = -1;
    while ((pid = ::fork()) < 0) ::usleep(kCheckUs);
    if (pid > 0) continue;
    struct statfs fs;
    ::close(from);
    ::usleep(kCheckUs);
    News* news = reinterpret_cast<News*>(news_->begin()) + number;
    if (news->checked == news->entries) ::_exit(0);
    go_to_processor(number);
    ::_exit(::statfs(mountpoint_.c_str(), &fs) == 0 ? 0 : 1);
  }
  return 0;
}

}  // namespace tfs::journal
