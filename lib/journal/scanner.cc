#include "lib/journal/scanner.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "lib/base/escape.h"
#include "lib/format/block_hash.h"
#include "lib/format/rel_path.h"
#include "lib/journal/credentials.h"
#include "lib/journal/filesystem.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs::journal {
namespace {

constexpr size_t kContentRoom = size_t{512} << 10;     // what DATA and HOLE of one turn take at most
constexpr size_t kUnwrittenHashes = size_t{64} << 10;  // of what waits for the reader, and has programs' changes wait behind it
constexpr size_t kUnwrittenContent = size_t{2} << 20;
constexpr int kToRead = O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC;
constexpr size_t kRemembered = 64;             // scans that have come to their end
constexpr size_t kListing = size_t{32} << 10;  // of a directory, read at once; a listing's frame holds what came of one

uint64_t random_number() {
  uint64_t value = 0;
  while (value == 0) {
    [[maybe_unused]] ssize_t n = ::getrandom(&value, sizeof value, 0);
  }
  return value;
}

bool is_dot(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

// Locks two nodes in the order of their ids.
class BothLocked {
 public:
  BothLocked(Node& a, Node& b) : first_(a.id < b.id ? a : b), second_(a.id < b.id ? b : a) {
    first_.lock.lock();
    if (&first_ != &second_) second_.lock.lock();
  }
  ~BothLocked() {
    if (&first_ != &second_) second_.lock.unlock();
    first_.lock.unlock();
  }
  BothLocked(const BothLocked&) = delete;
  BothLocked& operator=(const BothLocked&) = delete;

 private:
  Node& first_;
  Node& second_;
};

constexpr size_t kEntryXattrs = format::kMaxFields - 2 * format::kMaxPath;  // in one ENTRY, beside [path] and [target]
constexpr size_t kMostXattrs = size_t{4} << 20;                             // of one object; more than that becomes a GAP

// All of an object that ENTRY carries.
struct Description {
  format::Entry record;
  std::string target;
  std::vector<std::vector<std::byte>> xattrs{1};  // for one frame each
  uint64_t links = 0;
  bool is_too_much = false;
  sys::Fd open;  // to read, where that is a file or a directory, and may be

  size_t room() const { return xattrs.size() * kFrameReserve; }
  void add_xattr(const char* name, ByteView value) {
    if (xattrs.back().size() + format::kMaxXattrName + value.size() + 16 > kEntryXattrs) xattrs.emplace_back();
    format::append_xattr(name, value, xattrs.back());
    is_too_much = xattrs.size() * kEntryXattrs > kMostXattrs;
  }
};

// By the descriptor that is open where there is one: a path through /proc costs as much again. 0 or an errno.
int add_xattrs(int path_fd, Description& out) {
  static thread_local std::vector<char> names(XATTR_LIST_MAX);  // not cleared for each object: most have none
  static thread_local std::vector<std::byte> value(format::kMaxXattrValue);
  int fd = out.open.get();
  ProcPath path(path_fd);
  ssize_t size = fd >= 0 ? ::flistxattr(fd, names.data(), names.size()) : ::listxattr(path.text, names.data(), names.size());
  if (size < 0) return errno == EOPNOTSUPP ? 0 : errno;
  for (const char* at = names.data(); at < names.data() + size; at += std::strlen(at) + 1) {
    ssize_t n = fd >= 0 ? ::fgetxattr(fd, at, value.data(), value.size()) : ::getxattr(path.text, at, value.data(), value.size());
    if (n < 0 && errno != ENODATA && errno != EOPNOTSUPP) return errno;
    if (n >= 0 && !out.is_too_much) out.add_xattr(at, ByteView(value).first(static_cast<size_t>(n)));
  }
  return 0;
}

// To read what an O_PATH descriptor refers to: only owners may leave its atime alone.
int open_to_read(int path_fd) {
  ProcPath path(path_fd);
  int fd = ::open(path.text, kToRead);
  return fd < 0 && errno == EPERM ? ::open(path.text, kToRead & ~O_NOATIME) : fd;
}

// What an error says of an object that has gone since it was seen, or is none of the store's.
bool is_gone(int error) { return error == ENOENT || error == ESTALE || error == EXDEV; }

// `fd` is out.open where that is open already, else an O_PATH descriptor. 0 or an errno: what cannot be read is not described as missing.
int describe(int fd, Description& out) {
  struct stat st;
  if (::fstatat(fd, "", &st, AT_EMPTY_PATH) != 0) return errno;
  format::Entry& r = out.record;
  r.mode = st.st_mode;
  r.uid = st.st_uid;
  r.gid = st.st_gid;
  r.major = major(st.st_rdev);
  r.minor = minor(st.st_rdev);
  r.size = S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
  r.mtime = to_time(st.st_mtim);
  out.links = st.st_nlink;
  if (S_ISLNK(st.st_mode)) {
    out.target.resize(PATH_MAX);
    ssize_t n = ::readlinkat(fd, "", out.target.data(), out.target.size());
    if (n < 0) return errno;
    out.target.resize(static_cast<size_t>(n));
    r.target = out.target;
  }
  if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
    if (!out.open.is_open()) out.open = sys::Fd(open_to_read(fd));
    if (!out.open.is_open()) return errno;
    unsigned flags = 0;
    if (::ioctl(out.open.get(), FS_IOC_GETFLAGS, &flags) == 0) r.inode_flags = flags;
    else if (errno != ENOTTY && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS) return errno;
  }
  return add_xattrs(fd, out);
}

// One ENTRY, or as many as its extended attributes need.
void put_description(Recorder::Section& section, const Node& node, std::string_view path, Description& what) {
  if (what.is_too_much) return section.put_loss();
  what.record.path = path;
  for (size_t i = 0; i < what.xattrs.size(); i++) {
    what.record.flags = i + 1 < what.xattrs.size() ? format::kEntryMore : 0;
    what.record.xattrs = what.xattrs[i];
    section.put(node.ino, what.links, what.record);
  }
}

}  // namespace

Scanner::Ref& Scanner::Ref::operator=(Ref&& other) noexcept {
  std::swap(table_, other.table_);
  std::swap(node_, other.node_);
  return *this;
}

Scanner::Ref::~Ref() {
  if (node_ != nullptr) table_->forget(node_->id, 1);
}

Scanner::Scanner(Store& store, NodeTable& table, Recorder& recorder, Output& output, std::atomic<int>& unfinished)
    : store_(store), table_(table), recorder_(recorder), output_(output), unfinished_(unfinished) {}

int Scanner::start(control::ScanRequest& request) {
  request.path[control::kPathSize - 1] = '\0';
  if (!format::is_rel_path(request.path) || request.mode > control::kQuick) return EINVAL;
  std::lock_guard starting(start_mutex_);
  if (is_running_) return EBUSY;
  if (thread_.joinable()) thread_.join();  // not under the other lock, which it may need to come to its end
  std::lock_guard guard(mutex_);
  request.scan = random_number();
  scan_ = request.scan;
  seed_ = random_number();
  mode_ = request.mode;
  rate_ = request.bytes_per_second;
  allowance_ = 0;
  allowance_at_ms_ = 0;
  names_ = bytes_ = 0;
  is_running_ = true;
  unfinished_ = 1;
  is_stopping_ = false;
  failure_.clear();
  thread_ = std::thread([this, request] { run(request); });
  return 0;
}

void Scanner::stop() {
  std::lock_guard starting(start_mutex_);
  is_stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void Scanner::fill(control::Status& status) const {
  status.scan = scan_;
  status.is_scanning = is_running_;
  status.scan_names = names_;
  status.scan_bytes = bytes_;
}

void Scanner::fill(control::ScanResult& result) const {
  std::lock_guard guard(mutex_);
  std::memset(result.why, 0, sizeof result.why);
  result.course = control::kUnknown;
  if (is_running_ && scan_ == result.scan) result.course = control::kRuns;
  for (const Past& past : past_) {
    if (past.scan != result.scan) continue;
    result.course = past.failure.empty() ? control::kEnded : control::kGivenUp;
    past.failure.copy(result.why, sizeof result.why - 1);
  }
}

// With mutex_ held.
void Scanner::note_past() {
  past_.push_front({scan_, std::exchange(failure_, {})});
  if (past_.size() > kRemembered) past_.pop_back();
  is_running_ = false;
}

// What cannot be read would be missing in each mirror, and nobody would know.
void Scanner::give_up(int error, const std::string& what, Node& node, const std::string& name) {
  std::string path;
  table_.path_of(node, path, format::kMaxPath);
  if (!name.empty()) path = path == "." ? name : path + "/" + name;
  std::string object = path.empty() ? "a file without a name" : escape(path);
  std::string why = system_error("journal.scan.read", error, "unable to read " + what + " " + object).message();
  sys::warn("the scan is given up: " + why);
  failure_ = std::move(why);
}

// Rule 2 of the model. Without it the tests of scans must turn red: that is what this macro is for, and for nothing else.
#ifdef TFS_TEST_WITHOUT_RESCAN
void Scanner::moved(Node&, std::string_view) {}
#else
void Scanner::moved(Node& dir, std::string_view name) {
  if (!is_running_) return;
  table_.add_lookup(dir);
  std::lock_guard guard(mutex_);
  queue_.push_back({Ref(table_, dir), std::string(name)});
}
#endif

void Scanner::left_nameless(Node& node) {
  if (!is_running_) return;
  table_.add_lookup(node);
  std::lock_guard guard(mutex_);
  queue_.push_back({Ref(table_, node), {}});
}

void Scanner::run(control::ScanRequest request) {
  prepare_thread();
  std::string path = request.path;
  uint32_t flags = (path == "." ? format::kScanWhole : 0) | (mode_ == control::kQuick ? format::kScanQuick : 0);
  {
    Recorder::Room room(recorder_);
    Recorder::Section section(recorder_);
    section.put(0, 0, format::ScanBegin{request.scan, seed_, flags, path});
    // A mirror that joins here knows nothing of what was held before; what has a name will be held again when it loses it.
    for (uint64_t ino : path == "." ? table_.let_go_named() : std::vector<uint64_t>()) section.put(ino, 0, format::Forget{});
  }
  // A name and not a node: what stands there may change until it is its turn.
  if (path == ".") {
    table_.add_lookup(table_.root());
    Target root{Ref(table_, table_.root()), {}};
    std::vector<Node*> held = table_.held_nodes();  // each with a lookup counted
    std::lock_guard guard(mutex_);
    queue_.push_back(std::move(root));
    for (Node* node : held) queue_.push_back({Ref(table_, *node), {}});
  } else {
    int error = 0;
    std::string above(format::parent_of(path));
    Ref dir = find(above, error);
    if (error != 0 && !is_gone(error)) give_up(error, "what stands at", table_.root(), above);
    std::lock_guard guard(mutex_);
    if (dir.get() != nullptr) queue_.push_back({std::move(dir), std::string(format::name_of(path))});
  }
  while (goes_on() && !end_if_done()) {
    std::unique_lock lock(mutex_);
    if (queue_.empty()) continue;
    Target target = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    scan(std::move(target));
  }
  if (!failure_.empty() && !is_stopping_) end_given_up();
  std::deque<Target> left;
  {
    std::lock_guard guard(mutex_);
    left.swap(queue_);
    is_running_ = false;
  }
}

// Without SCANEND; but readers are told, by the scan of a name that no store has, that nothing more comes.
void Scanner::end_given_up() {
  Recorder::Room room(recorder_);
  Recorder::Section section(recorder_);
  std::lock_guard guard(mutex_);
  uint64_t scan = random_number();
  section.put(0, 0, format::ScanBegin{scan, seed_, 0, kReservedName});
  section.put(0, 0, format::ScanEnd{scan, 0, 0});
  unfinished_ = 0;
  note_past();
}

// In one journal section with the look at the queue: what moves before SCANEND is described before it.
bool Scanner::end_if_done() {
  Recorder::Room room(recorder_);
  Recorder::Section section(recorder_);
  std::lock_guard guard(mutex_);
  if (!queue_.empty()) return false;
  note_past();
  section.put(0, 0, format::ScanEnd{scan_, names_, bytes_});
  unfinished_ = 0;
  return true;
}

// Depth first, with no more in memory than a stretch of listing for each level.
void Scanner::scan(Target target) {
  struct Level {
    Ref dir;
    int64_t offset = 0;
    std::deque<std::string> names;
    bool is_read = false;
  };
  std::vector<Level> levels;
  auto enter = [&](Found found) {
    Node* node = found.node.get();
    if (node == nullptr) return;
    if (node->is_directory) {
      list(*node);
      levels.push_back({std::move(found.node), 0, {}, false});
    } else {
      describe_content(*node, std::move(found.open));
    }
  };
  if (!target.name.empty()) {
    enter(describe_name(*target.node.get(), target.name));
  } else {
    sys::Fd open = describe_object(*target.node.get());
    enter({std::move(target.node), std::move(open)});
  }
  while (!levels.empty() && goes_on()) {
    Level& level = levels.back();
    if (level.names.empty() && !level.is_read) {
      alignas(dirent64) char buffer[kListing];
      ssize_t n = read_listing(*level.dir.get(), level.offset, buffer);
      if (n < 0 && !is_gone(static_cast<int>(-n))) give_up(static_cast<int>(-n), "the names in", *level.dir.get());
      level.is_read = n <= 0;
      for (ssize_t at = 0; at < n;) {
        const auto* e = reinterpret_cast<const dirent64*>(buffer + at);
        at += e->d_reclen;
        level.offset = e->d_off;
        if (!is_dot(e->d_name) && !is_reserved(level.dir.get()->id, e->d_name)) level.names.emplace_back(e->d_name);
      }
    } else if (level.names.empty()) {
      levels.pop_back();
    } else {
      std::string name = std::move(level.names.front());
      level.names.pop_front();
      enter(describe_name(*level.dir.get(), name));  // may move `level`
    }
  }
}

// As getdents64(2), from an offset of a directory; a negative errno.
ssize_t Scanner::read_listing(Node& dir, int64_t offset, std::span<char> into) {
  DirRef ref = store_.directory(dir);
  if (!ref.is_open()) return ref.fd();
  sys::Fd fd(::openat(ref.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ssize_t n = -1;
  if (fd.is_open() && (offset == 0 || ::lseek(fd.get(), offset, SEEK_SET) >= 0))
    n = ::syscall(SYS_getdents64, fd.get(), into.data(), into.size());
  if (n >= 0) return n;
  int error = errno;
  // Where a directory was removed ext4 knows none of its offsets any more, and says EINVAL.
  struct stat st;
  bool is_removed = ::fstat(fd.get(), &st) == 0 && st.st_nlink == 0;
  return is_removed ? -ENOENT : -error;
}

// The node at a name, with a lookup counted; none where there is no such name (any more), or with seen.error.
Scanner::Ref Scanner::enter(Node& dir, const std::string& name, Sight& seen) {
  while (true) {
    DirRef ref = store_.directory(dir);
    Identity identity;
    seen.changes = dir.changes.load();
    seen.error = ref.is_open() ? store_.identify(ref.fd(), name.c_str(), seen.attributes, identity) : -ref.fd();
    if (seen.error != 0) return {};
    Node* node = seen.changes % 2 == 0 ? table_.enter_unless_changed(dir, name, identity, 1, seen.changes) : nullptr;
    if (node != nullptr) return Ref(table_, *node);
    std::this_thread::yield();  // a request is at this directory: a moment
  }
}

// ENTRY for a name, under the locks of its directory and of what stands there, which is returned.
Scanner::Found Scanner::describe_name(Node& dir, const std::string& name) {
  wait_for_others();
  for (size_t room = kFrameReserve; room != 0;) {
    if (Found found = try_to_describe(dir, name, room); found.node.get() != nullptr) return found;
  }
  return {};
}

// `room`: what to wait for; it comes back as what is needed, where that is more, or as 0 where there is nothing to describe.
Scanner::Found Scanner::try_to_describe(Node& dir, const std::string& name, size_t& room) {
  Recorder::Room reserved(recorder_, room);
  size_t had = std::exchange(room, 0);
  Sight seen;
  auto fail = [&](int error) {
    if (!is_gone(error)) give_up(error, "what stands at", dir, name);
    return Found();
  };
  Ref found = enter(dir, name, seen);
  if (found.get() == nullptr) return fail(seen.error);
  Node& node = *found.get();
  BothLocked locked(dir, node);
  DirRef ref = store_.directory(dir);
  if (!ref.is_open()) return fail(-ref.fd());
  // Where no name of the directory has changed since it was seen, it is what it was, and no device or FIFO is opened to be read.
  bool is_as_seen = dir.changes.load() == seen.changes;
  bool is_readable = S_ISREG(seen.attributes.st_mode) || S_ISDIR(seen.attributes.st_mode);
  Description what;
  sys::Fd path;
  if (is_as_seen && is_readable) what.open = sys::Fd(::openat(ref.fd(), name.c_str(), kToRead | O_NOFOLLOW));
  if (!what.open.is_open()) path = sys::Fd(::openat(ref.fd(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  int fd = what.open.is_open() ? what.open.get() : path.get();
  if (fd < 0) return fail(errno);
  struct stat st;
  Identity now;
  if (!is_as_seen && (store_.identify_fd(fd, st, now) != 0 || now.ino != node.ino || now.handle != node.handle)) {
    room = had;  // another one, meanwhile
    return {};
  }
  if (int error = describe(fd, what)) return fail(error);
  if (what.room() > had && !what.is_too_much) {
    room = what.room();
    return {};
  }
  names_ += 1;
  Recorder::Section section(recorder_);
  put_description(section, node, section.path(dir, name, Recorder::paths().first), what);
  return {std::move(found), std::move(what.open)};
}

// ENTRY for the top of the store, and for what has no name.
sys::Fd Scanner::describe_object(Node& node) {
  for (size_t room = kFrameReserve; room != 0;) {
    Recorder::Room reserved(recorder_, room);
    size_t had = std::exchange(room, 0);
    BothLocked locked(node, node);
    int opened = store_.open_node(node, O_PATH | O_NOFOLLOW);
    sys::Fd fd(std::max(opened, -1));
    Description what;
    if (int error = fd.is_open() ? describe(fd.get(), what) : -opened) {
      if (!is_gone(error)) give_up(error, "what is known of", node);
      return {};
    }
    if (what.room() > had && !what.is_too_much) {
      room = what.room();
      continue;
    }
    names_ += 1;
    Recorder::Section section(recorder_);
    // It may have got a name while it waited for its turn: then it is described under that, and held no more.
    if (table_.let_go_if_named(node)) section.put(node.ino, 0, format::Forget{});
    put_description(section, node, section.path(node, Recorder::paths().first), what);
    return std::move(what.open);
  }
  return {};
}

void Scanner::list(Node& dir) {
  int64_t offset = 0;
  for (uint32_t flags = format::kListFirst; goes_on(); flags = 0) {
    wait_for_others();
    Recorder::Room room(recorder_);
    BothLocked locked(dir, dir);
    std::vector<std::byte> entries;
    alignas(dirent64) char buffer[kListing];
    ssize_t n = 1;
    while (entries.size() < 2 * kListing && (n = read_listing(dir, offset, buffer)) > 0) {
      for (ssize_t at = 0; at < n;) {
        const auto* e = reinterpret_cast<const dirent64*>(buffer + at);
        at += e->d_reclen;
        offset = e->d_off;
        if (!is_dot(e->d_name) && !is_reserved(dir.id, e->d_name)) format::append_entry(e->d_type, e->d_name, entries);
      }
    }
    if (n < 0) {  // a listing that ends here would have the rest removed in each mirror
      if (!is_gone(static_cast<int>(-n))) give_up(static_cast<int>(-n), "the names in", dir);
      return;
    }
    if (n == 0) flags |= format::kListLast;
    Recorder::Section section(recorder_);
    section.put(dir.ino, 0, format::List{flags, section.path(dir, Recorder::paths().first), entries});
    if (n <= 0) return;
  }
}

// `fd` is open where the node is a file.
void Scanner::describe_content(Node& node, sys::Fd fd) {
  if (mode_ == control::kQuick || !fd.is_open()) return;
  int error = 0;
  for (uint64_t offset = 0, size = 1; error == 0 && offset < size && goes_on();) {
    uint64_t before = offset;
    wait_for_others();
    error = put_block(node, fd.get(), offset, size);
    if (error == 0 && offset == before) return;
    bytes_ += offset - before;
    spend(offset - before);
  }
  if (error != 0 && !is_gone(error)) give_up(error, "the content of", node);
}

// The block at `offset`, which moves behind it; `size` becomes the file's. What is added behind that later has frames of its own.
int Scanner::put_block(Node& node, int fd, uint64_t& offset, uint64_t& size) {
  static thread_local auto buffer = std::make_unique<format::Block>();
  Recorder::Room reserved(recorder_, kContentRoom);
  BothLocked locked(node, node);
  if (!table_.is_recorded(node)) return ESTALE;
  struct stat st;
  if (::fstat(fd, &st) != 0) return errno;
  size = S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
  if (offset >= size) return 0;
  if (offset == 0 && size > format::kHashBlock) ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  uint64_t end = std::min(size, offset + format::kHashBlock);
  if (mode_ == control::kByData) return put_content(node, fd, offset, end);
  format::Hash record;
  record.offset = offset;
  record.length = static_cast<uint32_t>(end - offset);
  for (size_t done = 0; done < record.length;) {
    ssize_t n = ::pread(fd, buffer->bytes + done, record.length - done, static_cast<off_t>(offset + done));
    if (n < 0) return errno;
    if (n == 0) return 0;  // cut behind our back
    done += static_cast<size_t>(n);
  }
  ByteView block = buffer->first(record.length);
  // Where a hole begins behind data tmpfs finds by a look at each page up to the file's end: asked for each block, that is a file squared.
  if (format::zero_pages(block) != 0) record.holes = sys::holes_in(fd, offset, end, format::kHashPage);
  format::BlockHash hash = format::block_hash(seed_, block);
  record.low = hash.low;
  record.high = hash.high;
  Recorder::Section section(recorder_);
  record.path = section.path(node, Recorder::paths().first);
  section.put(node.ino, st.st_nlink, record);
  offset = end;
  return 0;
}

// DATA and HOLE frames for [offset, end), which is a block at most, as far as the reserved room reaches; `offset` moves behind them. The
// node is locked.
int Scanner::put_content(Node& node, int fd, uint64_t& offset, uint64_t end) {
  static thread_local auto buffer = std::make_unique<format::Block>();
  for (size_t room = kContentRoom; offset < end;) {
    off_t data = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno == EINVAL) data = static_cast<off_t>(offset);  // a filesystem that does not tell
    if (data < 0 && errno != ENXIO) return errno;
    uint64_t from = data < 0 ? end : std::min<uint64_t>(end, static_cast<uint64_t>(data));
    off_t hole = data < 0 ? -1 : ::lseek(fd, data, SEEK_HOLE);
    uint64_t to = hole < 0 ? end : std::min<uint64_t>(end, static_cast<uint64_t>(hole));
    size_t needed = 2 * (format::kMaxPath + 256) + (to - from);  // HOLE and DATA
    if (needed > room) return 0;
    room -= needed;
    if (from > offset) {
      Recorder::Section section(recorder_);
      section.put(node.ino, 0, format::Hole{offset, from - offset, section.path(node, Recorder::paths().first)});
      offset = from;
    }
    if (from >= end) return 0;
    ssize_t n = ::pread(fd, buffer->bytes, to - from, static_cast<off_t>(from));
    if (n <= 0) return n < 0 ? errno : ESTALE;  // cut behind our back
    format::Data record{from, {}, buffer->first(static_cast<size_t>(n))};
    uint32_t checksum = format::crc32c(0, record.data);
    Recorder::Section section(recorder_);
    record.path = section.path(node, Recorder::paths().first);
    section.put(node.ino, 0, record, checksum);
    offset = from + static_cast<uint64_t>(n);
  }
  return 0;
}

// The node at a path, name by name, as the kernel would look it up; or none, with `error`.
Scanner::Ref Scanner::find(const std::string& path, int& error) {
  table_.add_lookup(table_.root());
  Ref at(table_, table_.root());
  for (std::string_view left = path; path != "." && !left.empty() && at.get() != nullptr;) {
    std::string name(left.substr(0, left.find('/')));
    left.remove_prefix(std::min(left.size(), name.size() + 1));
    Sight seen;
    at = enter(*at.get(), name, seen);
    error = seen.error;
  }
  return at;
}

int Scanner::give(const control::WantRequest& want) {
  Ref found;
  int ignored = 0;  // then it is found by its id, or not
  if (want.path[0] != '\0') found = find(want.path, ignored);
  if (found.get() == nullptr || found.get()->ino != want.id) {
    Node* node = table_.refer_to_ino(want.id);
    if (node == nullptr) return ENOENT;
    found = Ref(table_, *node);
  }
  Node& node = *found.get();
  int opened = store_.open_node(node, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  if (opened < 0) return is_gone(-opened) || opened == -ELOOP ? ENOENT : -opened;
  sys::Fd fd(opened);
  uint64_t end = want.length > UINT64_MAX - want.offset ? UINT64_MAX : want.offset + want.length;
  for (uint64_t offset = want.offset; offset < end;) {
    Recorder::Room reserved(recorder_, kContentRoom);
    BothLocked locked(node, node);
    struct stat st;
    if (!table_.is_recorded(node) || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return ENOENT;
    uint64_t stop = std::min({end, static_cast<uint64_t>(st.st_size), offset + format::kHashBlock});
    if (stop <= offset) break;
    if (int error = put_content(node, fd.get(), offset, stop)) return error;
  }
  Recorder::Room room(recorder_);
  BothLocked locked(node, node);
  Recorder::Section section(recorder_);
  section.put(node.ino, 0, format::Given{want.offset, want.length, section.path(node, Recorder::paths().first)});
  return 0;
}

// For programs that want the processors; and for the reader: one that is slower than we are gets no more than it can take at once, for the
// rest of the room is for what programs change, which would wait for all that was described before it.
void Scanner::wait_for_others() {
  if (rate_ != control::kFullSpeed) give_way_.between();
  size_t most = mode_ == control::kByData ? kUnwrittenContent : kUnwrittenHashes;
  while (output_.backlog() > most && !is_stopping_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// A token bucket of a tenth of a second, which begins empty: what was not read in time is not made up for.
void Scanner::spend(uint64_t bytes) {
  if (rate_ == 0 || rate_ == control::kFullSpeed) return;
  allowance_ -= static_cast<double>(bytes);
  while (allowance_ < 0 && !is_stopping_) {
    int64_t now = sys::monotonic_ms();
    if (allowance_at_ms_ != 0) {
      double earned = static_cast<double>(rate_) * static_cast<double>(now - allowance_at_ms_) / 1000;
      allowance_ = std::min(allowance_ + earned, static_cast<double>(rate_) / 10);
    }
    allowance_at_ms_ = now;
    if (allowance_ < 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace tfs::journal
