#include "lib/journal/session.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "lib/base/escape.h"
#include "lib/journal/fuse_bits.h"
#include "lib/journal/fuse_operations.h"
#include "lib/journal/fuse_version.h"
#include "lib/journal/places.h"
#include "lib/journal/raw_requests.h"
#include "lib/journal/request_context.h"
#include "lib/sys/apart.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::journal {
namespace {

// libfuse says what it does not like line by line; the last line becomes the reason of our own message.
std::string& fuse_log_line() {
  static std::string line;
  return line;
}

void take_fuse_log(fuse_log_level level, const char* format, va_list args) {
  char text[512];
  std::vsnprintf(text, sizeof text, format, args);
  if (level <= FUSE_LOG_WARNING) fuse_log_line() = std::string(text, std::strcspn(text, "\n"));
  if (level == FUSE_LOG_DEBUG) sys::say(std::string_view(text, std::strcspn(text, "\n")));
}

// A comma inside a value would end it.
std::string option_value(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// What waits for a disk, for another request, or for the machine.
bool may_take_long(const fuse_in_header& header) {
  switch (header.opcode) {
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_IOCTL: return true;
    default: return false;
  }
}

}  // namespace

// A request that was being done so often when its process died is taken for the reason.
constexpr uint32_t kMostCrashes = 3;

struct Session::Buffer final : Workers::Slot {
  fuse_buf buf{};
  bool has_room = false;  // in the journal's ring, reserved for it
  bool is_answered = false;
  bool is_done_again = false;
  Flights* flights = nullptr;
  Flight* flight = nullptr;     // whose memory it is, where there are flights
  UringEntry* entry = nullptr;  // where its answer goes, if it came from there
  bool is_borrowed = false;     // the entry's memory
  Buffer() = default;
  explicit Buffer(UringEntry& from) : entry(&from), is_borrowed(true) {
    buf.mem = &from.request();
    buf.size = from.request().len;
  }
  Buffer(Flights& all, Flight& one) : flights(&all), flight(&one) { buf.mem = &one.request(); }
  ~Buffer() override {
    if (flight != nullptr) flights->give_back(*flight, buf.size);
    if (flight == nullptr && !is_borrowed) std::free(buf.mem);
  }
  fuse_in_header& header() const { return *static_cast<fuse_in_header*>(buf.mem); }
  size_t reserve() const { return header().len + kFrameReserve; }
};

// libfuse's public way to see requests and replies as they are (fuse_session_custom_io).
struct SessionHooks {
  static ssize_t read(int fd, void* into, size_t size, void* session) {
    static_cast<Session*>(session)->workers_.look_ahead(fd);
    ssize_t n = ::read(fd, into, size);
    after_receive();
    if (n > 0) static_cast<Session*>(session)->note_init_request(into, static_cast<size_t>(n));
    return n;
  }
  static ssize_t writev(int fd, iovec* parts, int count, void* session) {
    auto* self = static_cast<Session*>(session);
    if (count >= 2) self->patch_init_reply(parts[1].iov_base, parts[1].iov_len);
    if (self->swallows_reply_) {
      ssize_t size = 0;
      for (int i = 0; i < count; i++) size += static_cast<ssize_t>(parts[i].iov_len);
      return size;
    }
    return send_reply(fd, {parts, static_cast<size_t>(count)});
  }
};

Session::Session(Filesystem& filesystem, Output& output, Control& control, Estate& estate)
    : filesystem_(filesystem),
      output_(output),
      control_(control),
      estate_(estate),
      flights_(estate.is_shared() ? std::make_unique<Flights>(estate.flight_memory()) : nullptr),
      workers_({[this] {
                  std::unique_ptr<Buffer> buffer = make_buffer();
                  if (buffer->flight != nullptr) buffer->flight->prepare();
                  return buffer;
                },
                [this](Workers::Slot& slot) { return receive(static_cast<Buffer&>(slot)); },
                [this](Workers::Slot& slot) { take(static_cast<Buffer&>(slot)); },
                [this] {
                  note_asked();
                  if (!has_ended_.exchange(true) && !is_stopping_) on_end_();
                }}) {
  filesystem_.on_stale_attributes([this](uint64_t id) { fuse_lowlevel_notify_inval_inode(session_, id, -1, 0); });
}

Session::~Session() {
  if (session_ != nullptr) fuse_session_destroy(session_);
}

Status Session::mount(const MountOptions& options) {
  if (options.has_uring) prepare_queues(options.mountpoint);
  return prepare(options, options.mountpoint.c_str());
}

// Of the mount libfuse knows what INIT has told, and answers nothing before it: so it hears that once more, and its answer goes
// nowhere.
Status Session::take_over(const MountOptions& options, sys::Fd fuse, std::span<const std::byte> init) {
  has_taken_over_ = true;
  TFS_TRY(prepare(options, ("/dev/fd/" + std::to_string(fuse.release())).c_str()));
  std::vector<std::byte> request(init.begin(), init.end());
  note_init_request(request.data(), request.size());
  swallows_reply_ = true;
  fuse_buf buf{};
  buf.mem = request.data();
  buf.size = request.size();
  fuse_session_process_buf(session_, &buf);
  swallows_reply_ = false;
  return {};
}

Status Session::prepare(const MountOptions& options, const char* mountpoint) {
  options_ = options;
  if (options_.has_writeback) filesystem_.set_writeback();
  bool is_root = ::geteuid() == 0;
  std::string words = "default_permissions,subtype=tfs_journal,fsname=" + option_value(options.store);
  if (is_root) words += ",allow_other,suid,dev";
  for (const std::string& word : options.fuse) words += "," + word;
  std::string name(sys::program_name());
  char* argv[] = {name.data(), const_cast<char*>("-o"), words.data(), const_cast<char*>("-d"), nullptr};
  fuse_args args = FUSE_ARGS_INIT(options.is_debug ? 4 : 3, argv);
  fuse_set_log_func(take_fuse_log);
  fuse_lowlevel_ops operations;
  fill_operations(&operations);
  session_ = fuse_session_new(&args, &operations, sizeof operations, this);
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return usage_error("-o " + words + ": " + fuse_log_line());
  if (fuse_session_mount(session_, mountpoint) != 0) {
    std::string why = fuse_log_line().empty() ? "" : ": " + fuse_log_line();
    std::string hint = ::access("/dev/fuse", F_OK) == 0 ? "" : " (there is no /dev/fuse: modprobe fuse)";
    return Error{Kind::kSystem, 0, "journal.session.mount", "unable to mount on " + escape(options.mountpoint) + why + hint};
  }
  is_mounted_ = true;
  fuse_custom_io io{};
  io.read = SessionHooks::read;
  io.writev = SessionHooks::writev;
  if (fuse_session_custom_io(session_, &io, fuse_session_fd(session_)) != 0) {
    return Error{Kind::kSystem, 0, "journal.session.hooks", "libfuse refuses our hooks"};
  }
  return {};
}

Status Session::take_up(const MountOptions& options) { return take_over(options, sys::Fd(estate_.fuse()), estate_.init()); }

bool Session::has_doubtful(Redo& redo) {
  return std::ranges::any_of(flights_->taken(), [&](Flight* flight) {
    return flight->request().unique != 0 && flight->has_begun() && !flight->is_answered() && redo.is_doubtful(*flight);
  });
}

void Session::do_again(Redo& redo) {
  prepare_thread();
  std::vector<Flight*> begun;
  uint64_t last = 0;
  for (Flight* flight : flights_->taken()) {
    uint64_t unique = flight->request().unique;
    bool is_over = unique == 0 || unique == last || flight->is_answered() || !is_waited_for(*flight);
    if (!is_over) last = unique;  // a request that was about to be put aside is in two flights
    if (!is_over && flight->has_begun()) {
      begun.push_back(flight);
    } else if (!is_over) {
      auto buffer = std::make_unique<Buffer>(*flights_, *flight);
      buffer->buf.size = flight->request().len;
      busy_ += 1;
      parked_.push_back(std::move(buffer));
    } else {
      // Once more: where the answer had been given, nobody waits for it.
      if (!flight->answer().empty())
        static_cast<void>(::write(estate_.fuse(), flight->answer().data(), flight->answer().size()) < 0);
      flights_->give_back(*flight, Flights::kRequestSize);
    }
  }
  std::vector<bool> are_done;
  for (Flight* flight : begun) are_done.push_back(redo.settle(*flight));
  redo.finish();
  for (size_t i = 0; i < begun.size(); i++) do_again(*begun[i], are_done[i]);
}

// Whether the kernel knows the request still. One that is half read it has answered by itself, and what is answered is done. It tells by
// what it says of the answer to an INTERRUPT of that request, of which this one means nothing.
bool Session::is_waited_for(Flight& flight) {
  uint32_t opcode = flight.request().opcode;
  // Nobody waits for these, or not to their end.
  if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_RELEASE) return true;
  constexpr uint64_t kOfInterrupt = 1;
  fuse_out_header head{sizeof head, 0, flight.request().unique | kOfInterrupt};
  return ::write(estate_.fuse(), &head, sizeof head) >= 0 || errno != ENOENT;
}

void Session::do_again(Flight& flight, bool is_done) {
  Buffer buffer(*flights_, flight);
  buffer.buf.size = flight.request().len;
  buffer.is_done_again = true;
  if (is_done || flight.note_crash() >= kMostCrashes) {
    request_context() = {.flight = &flight};
    reply_raw(estate_.fuse(), flight.request().unique, is_done ? 0 : EIO, {});
    return;
  }
  busy_ += 1;
  if (needs_room(buffer)) {
    output_.wait_and_reserve(buffer.reserve());  // at once: it had room before
    buffer.has_room = true;
  }
  handle_request(buffer);
}

std::unique_ptr<Session::Buffer> Session::make_buffer() {
  Flight* flight = flights_ ? flights_->take() : nullptr;
  return flight != nullptr ? std::make_unique<Buffer>(*flights_, *flight) : std::make_unique<Buffer>();
}

void Session::start(std::function<void()> on_end) {
  on_end_ = std::move(on_end);
  parked_worker_ = std::thread([this] { work_parked(); });
  if (options_.max_delay.count() > 0) filesystem_.count_writers();
  workers_.start();
  start_flusher();
}

void Session::start_flusher() {
  if (options_.max_delay.count() == 0) return;
  flusher_ = std::make_unique<Flusher>(options_.mountpoint, options_.max_delay, [this] { return filesystem_.has_writers(); });
}

int Session::fuse_descriptor() const { return fuse_session_fd(session_); }

bool Session::pause(std::chrono::milliseconds patience) {
  auto deadline = std::chrono::steady_clock::now() + patience;
  flusher_.reset();
  is_pausing_ = true;
  // The one that waits for a request gets one, which nobody may be left to answer.
  sys::leave_apart([this] {
    struct statfs fs;
    return ::statfs(options_.mountpoint.c_str(), &fs);
  });
  {
    std::unique_lock lock(pause_mutex_);
    pause_changed_.wait_until(lock, deadline, [this] { return is_paused_; });
  }
  bool is_done = false;
  do {
    std::lock_guard guard(pause_mutex_);
    is_done = is_paused_ && busy_ == 0;
  } while (!is_done && std::chrono::steady_clock::now() < deadline && ::usleep(1000) == 0);
  if (!is_done) unpause();
  return is_done;
}

void Session::unpause() {
  std::lock_guard guard(pause_mutex_);
  is_pausing_ = false;
  pause_changed_.notify_all();
  start_flusher();
}

void Session::wait_while_paused() {
  std::unique_lock lock(pause_mutex_);
  is_paused_ = true;
  pause_changed_.notify_all();
  pause_changed_.wait(lock, [this] { return !is_pausing_; });
  is_paused_ = false;
}

// Where requests come through io_uring, FORGET alone is left to be read: many at a time, for a thread that is woken for each would
// run on another processor than the program that has to wait for it.
constexpr std::chrono::milliseconds kForgetPause(5);

bool Session::receive(Buffer& buffer) {
  if (has_ring_requests_) std::this_thread::sleep_for(kForgetPause);
  while (true) {
    if (is_pausing_) wait_while_paused();
    int size = fuse_session_receive_buf(session_, &buffer.buf);
    if (size == -EINTR || size == -EAGAIN) continue;
    if (size > 0) busy_ += 1;  // here, where nobody else can be waiting for a request
    return size > 0;           // else: unmounted
  }
}

void Session::take(Buffer& buffer) {
  bool needs_room = this->needs_room(buffer);
  buffer.has_room = needs_room && output_.reserve(buffer.reserve());
  if (needs_room && !buffer.has_room) return park(buffer);
  if (may_take_long(buffer.header())) Workers::step_aside();
  bool is_init = buffer.header().opcode == FUSE_INIT;
  handle_request(buffer);
  if (is_init && queues_ != nullptr) queues_->start(fuse_session_fd(session_));
}

// Requests come through /dev/fuse where they cannot come this way: it is slower, and no less right.
void Session::prepare_queues(const std::string& mountpoint) {
  auto queues = std::make_unique<UringQueues>(mountpoint, [this](UringEntry& entry) { take_from(entry); });
  if (Status status = queues->prepare(); !status) {
    sys::warn("-o io_uring: " + status.error().message() + ": requests come through /dev/fuse");
    static_cast<void>(queues.release());  // for its threads
    return;
  }
  queues_ = std::move(queues);
}

void Session::take_from(UringEntry& entry) {
  after_receive();
  if (!has_ring_requests_.load(std::memory_order_relaxed)) {
    has_ring_requests_ = true;
    workers_.stop_looking();
  }
  busy_ += 1;
  Buffer buffer(entry);
  request_context() = {.entry = &entry};
  take(buffer);
  request_context() = {};
}

void Session::work_parked() {
  prepare_thread();
  std::unique_lock lock(parked_mutex_);
  while (true) {
    parked_wake_.wait(lock, [this] { return !parked_.empty() || is_stopping_; });
    if (parked_.empty()) return;
    std::unique_ptr<Buffer> buffer = std::move(parked_.front());
    parked_.pop_front();
    lock.unlock();
    buffer->has_room = needs_room(*buffer);  // asked once: a RELEASE may come to need it
    if (buffer->has_room) output_.wait_and_reserve(buffer->reserve());
    handle_request(*buffer);
    lock.lock();
  }
}

bool Session::needs_room(const Buffer& buffer) {
  const fuse_in_header& header = buffer.header();
  return header.opcode == FUSE_RELEASE ? filesystem_.records_release(header.nodeid) : changes_something(header);
}

// Puts a request aside until there is room: a copy of its own size, for there can be thousands (pages of a mapping), and
// buffers are made for the largest. Nobody waits for the answer to a RELEASE, so it is given at once: the kernel's queue of what
// goes on in the background, readahead for one, is not to fill with them.
void Session::park(const Buffer& buffer) {
  std::unique_ptr<Buffer> parked = make_buffer();
  parked->buf.size = buffer.buf.size;
  parked->entry = buffer.entry;
  if (parked->flight == nullptr) parked->buf.mem = std::malloc(buffer.buf.size);
  TFS_CHECK(parked->buf.mem != nullptr);
  // Its number last: by that a successor knows that it is whole.
  fuse_in_header head = buffer.header();
  uint64_t unique = std::exchange(head.unique, 0);
  std::memcpy(&parked->header() + 1, &buffer.header() + 1, buffer.buf.size - sizeof head);
  parked->header() = head;
  std::atomic_ref(parked->header().unique) = unique;
  if (buffer.header().opcode == FUSE_RELEASE) {
    reply_raw(fuse_session_fd(session_), buffer.header().unique, 0, {});
    parked->is_answered = true;
    parked->entry = nullptr;  // which goes on to another request
  }
  if (buffer.flight != nullptr) buffer.flight->finish();  // here: it goes on in the other one
  std::lock_guard guard(parked_mutex_);
  parked_.push_back(std::move(parked));
  parked_wake_.notify_one();
}

// With room reserved where the request needs it, and counted in busy_.
void Session::handle_request(Buffer& buffer) {
  bool had_room = buffer.has_room;
  size_t reserved = buffer.reserve();
  if (buffer.flight != nullptr) buffer.flight->begin();
  process(buffer);
  if (buffer.flight != nullptr && !buffer.flight->is_answered()) buffer.flight->finish();
  if (had_room) output_.release(reserved);
  busy_ -= 1;
  if (is_stopping_) busy_.notify_all();
}

void Session::process(Buffer& buffer) {
  const fuse_in_header& header = buffer.header();
  request_context() = {.is_done_again = buffer.is_done_again, .flight = buffer.flight, .entry = buffer.entry};
  if (is_stopping_ && header.opcode != FUSE_FORGET && header.opcode != FUSE_BATCH_FORGET && header.opcode != FUSE_INTERRUPT) {
    reply_raw(fuse_session_fd(session_), header.unique, ENOTCONN, {});
    return;
  }
  if (header.opcode == FUSE_WRITE) {
    const auto* in = reinterpret_cast<const fuse_write_in*>(&header + 1);
    request_context().is_cached_write = (in->write_flags & FUSE_WRITE_CACHE) != 0;
    request_context().kills_set_id = (in->write_flags & kWriteKillSetId) != 0 && !request_context().is_cached_write;
  }
  if (process_raw(buffer)) return;
  fuse_session_process_buf(session_, &buffer.buf);
  buffer.buf.flags = static_cast<fuse_buf_flags>(0);
}

bool Session::process_raw(Buffer& buffer) {
  RawRequest request{fuse_session_fd(session_), static_cast<char*>(buffer.buf.mem), buffer.buf.size};
  uint32_t opcode = buffer.header().opcode;
  if (opcode == FUSE_RELEASE) {
    do_release(filesystem_, request, buffer.has_room);
    if (!buffer.is_answered) reply_raw(request.fd, buffer.header().unique, 0, {});
    return true;
  }
  if (opcode == kOpSetxattr && (offered_ & kSetxattrExt)) return answer_setxattr(filesystem_, request), true;
  if (opcode == kOpTmpfile) return answer_tmpfile(*this, request), true;
  if (opcode == kOpStatx) return answer_statx(*this, request), true;
  return false;
}

void Session::note_init_request(const void* request, size_t size) {
  if (saw_init_) return;
  const auto* header = static_cast<const fuse_in_header*>(request);
  if (header->opcode != FUSE_INIT || size < sizeof *header + 16) return;
  const auto* in = reinterpret_cast<const fuse_init_in*>(header + 1);
  offered_ = in->flags;
  init_request_.assign(static_cast<const std::byte*>(request), static_cast<const std::byte*>(request) + header->len);
  if ((in->flags & kInitExt) && size >= sizeof *header + sizeof *in) offered_ |= uint64_t{in->flags2} << 32;
  saw_init_ = true;
  estate_.note_mount(fuse_session_fd(session_), init_request_);
  note_asked();
}

// libfuse never asks for these (before 3.17, but for the last), though it needs nothing for them: KILLPRIV_V2 saves the question for
// security.capability before each write, PARALLEL_DIROPS lets lookups in a directory run beside each other, SETXATTR_EXT says which ACL
// kills sgid.
void Session::patch_init_reply(void* reply, size_t size) {
  if (!saw_init_ || patched_init_.exchange(true) || size < 24) return;
  auto* out = static_cast<fuse_init_out*>(reply);
  out->flags |= static_cast<uint32_t>(offered_ & (kParallelDirops | kHandleKillprivV2 | kSetxattrExt));
  if (queues_ == nullptr || (offered_ & kOverIoUring) == 0) return;
  out->flags |= static_cast<uint32_t>(kInitExt);
  out->flags2 |= static_cast<uint32_t>(kOverIoUring >> 32);
}

void Session::note_asked() {
  is_asked_ = true;
  is_asked_.notify_all();
}

Status Session::stop() {
  flusher_.reset();
  if (is_mounted_ && !has_ended_) {
    const char* mountpoint = options_.mountpoint.c_str();
    // Who asks for a queue's sake has the mount in use for a moment.
    int tries = uses_uring() ? 10 : 1;
    int error = sys::run_apart([mountpoint, tries] {
      // Pages written through mappings are still on the way.
      int top = ::open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (top >= 0) ::syncfs(top);
      if (top >= 0) ::close(top);
      for (int left = tries; left > 0; left--) {
        if (::umount2(mountpoint, UMOUNT_NOFOLLOW) == 0) return 0;
        if (errno != EBUSY || left == 1) return errno;
        ::usleep(20'000);
      }
      return EBUSY;
    });
    if (error == EBUSY) sys::warn(escape(options_.mountpoint) + " is in use: what is open there is cut off");
    // Where there is no process to be had either (-1), this asks nothing of the mount.
    if (error == EBUSY || error < 0) ::umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
  }
  is_stopping_ = true;
  for (int busy = busy_; busy > 0; busy = busy_) busy_.wait(busy);
  {
    std::lock_guard guard(parked_mutex_);
    parked_wake_.notify_one();
  }
  if (parked_worker_.joinable()) parked_worker_.join();
  if (is_mounted_ && ::geteuid() != 0) has_taken_over_ ? unmount_as_user(options_.mountpoint) : fuse_session_unmount(session_);
  return {};
}

}  // namespace tfs::journal
