#include "lib/journal/handover.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "lib/base/escape.h"
#include "lib/journal/node_table.h"
#include "lib/journal/store.h"
#include "lib/sys/io.h"

namespace tfs::journal {
namespace {

constexpr char kVariable[] = "TFS_HANDOVER";
constexpr uint64_t kFormat = 1;

std::string variable(const std::string& value) { return std::string(kVariable) + "=" + std::to_string(kFormat) + ":" + value; }

class Saver {
 public:
  void number(uint64_t value) { bytes(as_bytes(std::string_view(reinterpret_cast<const char*>(&value), sizeof value))); }
  void text(std::string_view value) {
    number(value.size());
    bytes(as_bytes(value));
  }
  void bytes(ByteView value) { out_.insert(out_.end(), value.begin(), value.end()); }
  ByteView all() const { return out_; }

 private:
  std::vector<std::byte> out_;
};

// Reads what a Saver of the same format wrote; zeros behind its end.
class Loader {
 public:
  explicit Loader(ByteView in) : in_(in) {}
  uint64_t number() {
    uint64_t value = 0;
    ByteView part = take(sizeof value);
    std::memcpy(&value, part.data(), part.size());
    return value;
  }
  std::string text() { return std::string(as_text(take(number()))); }
  ByteView take(uint64_t size) {
    ByteView part = in_.first(std::min<uint64_t>(size, in_.size()));
    is_short_ = is_short_ || part.size() < size;
    in_ = in_.subspan(part.size());
    return part;
  }
  bool is_short() const { return is_short_; }

 private:
  ByteView in_;
  bool is_short_ = false;
};

void save(Saver& out, const Handover& h) {
  out.text(h.store);
  out.text(h.mountpoint);
  out.bytes(std::as_bytes(std::span(h.position.epoch.bytes)));
  out.number(h.position.seq);
  out.number(h.init.size());
  out.bytes(h.init);
  for (int fd : {h.fuse, h.lock, h.output}) out.number(static_cast<uint64_t>(fd));
}

Handover load(Loader& in) {
  Handover h;
  h.store = in.text();
  h.mountpoint = in.text();
  ByteView epoch = in.take(h.position.epoch.bytes.size());
  std::memcpy(h.position.epoch.bytes.data(), epoch.data(), epoch.size());
  h.position.seq = in.number();
  ByteView init = in.take(in.number());
  h.init.assign(init.begin(), init.end());
  for (int* fd : {&h.fuse, &h.lock, &h.output}) *fd = static_cast<int>(in.number());
  return h;
}

void save(Saver& out, const SavedNode& node) {
  for (uint64_t value :
       {node.id, node.ino, node.lookups, uint64_t{node.opens}, uint64_t{node.is_directory}, uint64_t{node.is_held},
        static_cast<uint64_t>(node.grave), uint64_t{node.handle.size}, uint64_t{node.handle.type}}) {
    out.number(value);
  }
  out.bytes(std::as_bytes(std::span(node.handle.bytes)));
  out.number(node.names.size());
  for (const auto& [parent, name] : node.names) {
    out.number(parent);
    out.text(name);
  }
}

SavedNode load_node(Loader& in) {
  SavedNode node;
  node.id = in.number();
  node.ino = in.number();
  node.lookups = in.number();
  node.opens = static_cast<uint32_t>(in.number());
  node.is_directory = in.number() != 0;
  node.is_held = in.number() != 0;
  node.grave = static_cast<int>(in.number());
  node.handle.size = static_cast<uint8_t>(in.number());
  node.handle.type = static_cast<uint8_t>(in.number());
  ByteView handle = in.take(node.handle.bytes.size());
  std::memcpy(node.handle.bytes.data(), handle.data(), handle.size());
  for (uint64_t left = in.number(); left > 0 && !in.is_short(); left--) {
    uint64_t parent = in.number();
    node.names.emplace_back(parent, in.text());
  }
  return node;
}

Error not_whole() { return {Kind::kSystem, 0, "journal.handover.short", "what was handed over is not whole"}; }

Result<std::vector<std::byte>> read_all(int fd) {
  struct stat st;
  if (::fstat(fd, &st) != 0) return system_error("journal.handover.stat", errno, "unable to take over");
  std::vector<std::byte> bytes(static_cast<size_t>(st.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t n = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n <= 0) return system_error("journal.handover.read", n < 0 ? errno : EIO, "unable to take over");
    done += static_cast<size_t>(n);
  }
  return bytes;
}

// `value` is all that the successor's environment has more than ours.
std::vector<char*> environment_with(std::string& value) {
  std::vector<char*> out;
  for (char** at = environ; *at != nullptr; at++) {
    if (std::strncmp(*at, kVariable, sizeof kVariable - 1) != 0) out.push_back(*at);
  }
  out.push_back(value.data());
  out.push_back(nullptr);
  return out;
}

// What is open in the store: FUSE's file handles, and what has no name any more.
std::vector<int> store_descriptors(const Store& store) {
  std::vector<int> found;
  std::unique_ptr<DIR, int (*)(DIR*)> list(::opendir("/proc/self/fd"), ::closedir);
  while (const dirent* e = list ? ::readdir(list.get()) : nullptr) {
    int fd = std::atoi(e->d_name);
    struct stat st;
    if (fd > 2 && ::fstat(fd, &st) == 0 && st.st_dev == store.dev() && !store.is_own(fd)) found.push_back(fd);
  }
  return found;
}

}  // namespace

Result<std::optional<HandoverRequest>> handover_request() {
  const char* text = ::getenv(kVariable);
  if (text == nullptr) return std::optional<HandoverRequest>();
  std::string prefix = std::to_string(kFormat) + ":", value = text;
  ::unsetenv(kVariable);
  if (!value.starts_with(prefix)) return usage_error("this tfs_journal cannot take over from one of another version");
  value.erase(0, prefix.size());
  if (value == "check") return std::optional(HandoverRequest{true, -1});
  return std::optional(HandoverRequest{false, std::atoi(value.c_str())});
}

Status ask_successor(const std::string& path, char* const argv[]) {
  std::string value = variable("check");
  std::vector<char*> environment = environment_with(value);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child;
  int error = ::posix_spawn(&child, path.c_str(), nullptr, &attributes, argv, environment.data());
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return system_error("journal.handover.ask", error, "unable to run " + escape(path));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status == 0) return {};
  return Error{Kind::kSystem, 0, "journal.handover.refused", escape(path) + " cannot take over"};
}

Result<sys::Fd> write_handover(const Handover& handover, const NodeTable& table, const Store& store) {
  Saver out;
  save(out, handover);
  std::vector<SavedNode> nodes = table.save();
  out.number(nodes.size());
  for (const SavedNode& node : nodes) save(out, node);
  std::vector<std::pair<uint64_t, int>> open_fds = store.open_descriptors();
  out.number(open_fds.size());
  for (auto [id, fd] : open_fds) {
    out.number(id);
    out.number(static_cast<uint64_t>(fd));
  }
  sys::Fd fd(::memfd_create("tfs_journal", MFD_CLOEXEC));
  if (!fd.is_open()) return system_error("journal.handover.memfd", errno, "unable to hand over");
  TFS_TRY(sys::write_all("journal.handover.write", fd.get(), out.all()));
  return fd;
}

Result<Handover> read_handover(int fd) {
  std::vector<std::byte> bytes = TFS_TRY(read_all(fd));
  Loader in(bytes);
  Handover handover = load(in);
  if (in.is_short()) return not_whole();
  return handover;
}

Status read_nodes(int fd, NodeTable& table, Store& store) {
  std::vector<std::byte> bytes = TFS_TRY(read_all(fd));
  Loader in(bytes);
  load(in);
  std::vector<SavedNode> nodes;
  for (uint64_t left = in.number(); left > 0 && !in.is_short(); left--) nodes.push_back(load_node(in));
  if (in.is_short()) return not_whole();
  table.load(nodes);
  for (uint64_t left = in.number(); left > 0 && !in.is_short(); left--) {
    uint64_t id = in.number();
    int open_fd = static_cast<int>(in.number());
    if (Node* node = table.find(id)) store.note_open(*node, open_fd);
  }
  return in.is_short() ? not_whole() : Status();
}

void let_inherit(int handover, const Handover& what, const Store& store) {
  std::vector<int> kept = store_descriptors(store);
  for (int fd : {handover, what.fuse, what.lock, what.output}) kept.push_back(fd);
  for (int fd : kept) ::fcntl(fd, F_SETFD, 0);
}

Error become_successor(const std::string& path, char* const argv[], int handover) {
  std::string value = variable(std::to_string(handover));
  std::vector<char*> environment = environment_with(value);
  ::execve(path.c_str(), argv, environment.data());
  int error = errno;
  keep_descriptors_to_ourselves();
  return system_error("journal.handover.exec", error, "unable to run " + escape(path));
}

void keep_descriptors_to_ourselves() { ::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC); }

}  // namespace tfs::journal
