// manifest: everything a mirror has to carry, as one line per object, so that
// `diff` of two manifests is the comparison of two trees. The tests' oracle.
//
//   PATH TYPE mode= uid= gid= mtime= [links=N:FIRST] [size= hash= data=]
//        [target=] [dev=] flags= [xattr:NAME=HEX]...
//
// The root comes first, as "."; the rest is sorted by the bytes of the path.
// Bytes that are not printable ASCII, spaces and backslashes are \xNN.
//
// A group of hard links is named by its first path and not by a running number:
// with a number, one broken group would change the lines of all that follow.
//
// The tree has to be at rest. Special files are looked at through O_PATH only:
// to open a FIFO could wait for ever, to open a device could do anything.

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

// Directories kept open at a time. Deeper ones close their ancestors, which are
// opened again through "..": a tree may be deeper than RLIMIT_NOFILE or PATH_MAX.
constexpr size_t kOpenLevels = 256;

// Extents are printed in units of this, whatever the file system's block is.
constexpr uint64_t kPageBytes = 4096;

// Content is hashed in blocks of this size; blocks of zeros are left out. Of 16, 32, 64 and
// 128 KiB this was the fastest: 4 GB/s from the cache, and small files pay for whole blocks.
constexpr uint64_t kBlockBytes = uint64_t{32} * 1024;

struct Options {
  bool owner = true;
  bool flags = true;
  bool mtime = true;
  bool holes = true;
  bool special = true;
  std::vector<std::string> excluded;
  std::string root;
};

// ---- text

std::string escape(std::string_view bytes) {
  static const char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : bytes) {
    if (c > ' ' && c < 0x7f && c != '\\') {
      out += static_cast<char>(c);
    } else {
      out += "\\x";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  return out;
}

std::string hex(std::string_view bytes) {
  static const char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : bytes) {
    out += kHex[c >> 4];
    out += kHex[c & 15];
  }
  return out;
}

template <typename... Args>
std::string format(const char* pattern, Args... args) {
  char text[96];
  snprintf(text, sizeof text, pattern, args...);
  return text;
}

// Ends the program: half a manifest compares with nothing.
[[noreturn]] void die(const char* verb, std::string_view path, const char* reason) {
  fflush(stdout);
  fprintf(stderr, "manifest: fatal: unable to %s %s: %s\n", verb, escape(path).c_str(), reason);
  exit(1);
}

[[noreturn]] void die(const char* verb, std::string_view path) { die(verb, path, strerror(errno)); }

// ---- descriptors

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

Fd open_at(int dir, const char* name, int flags, std::string_view path) {
  Fd fd(openat(dir, name, flags | O_CLOEXEC));
  if (!fd.is_open()) die("open", path);
  return fd;
}

struct stat stat_of(int fd, std::string_view path) {
  struct stat st;
  if (fstatat(fd, "", &st, AT_EMPTY_PATH) != 0) die("stat", path);
  return st;
}

// The one name that reaches the object behind an O_PATH descriptor. Calls that
// follow links end at the object itself, even where it is a symbolic link.
std::string proc_path(int fd) { return format("/proc/self/fd/%d", fd); }

// ---- content

struct Extent {
  uint64_t begin;
  uint64_t end;
};

// Where the file has data, rounded outwards to pages and merged. A file system
// that knows no holes has one extent.
std::vector<Extent> data_extents(int fd, uint64_t size, std::string_view path) {
  std::vector<Extent> extents;
  for (uint64_t at = 0; at < size;) {
    const off_t data = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0 && errno == EINVAL) return {{0, size}};
    if (data < 0) die("seek in", path);
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0) die("seek in", path);
    const uint64_t begin = static_cast<uint64_t>(data) / kPageBytes * kPageBytes;
    const uint64_t end = (static_cast<uint64_t>(hole) + kPageBytes - 1) / kPageBytes * kPageBytes;
    if (!extents.empty() && begin <= extents.back().end) {
      extents.back().end = std::max(end, extents.back().end);
    } else {
      extents.push_back({begin, end});
    }
    at = static_cast<uint64_t>(hole);
  }
  return extents;
}

bool is_zero(const char* bytes, size_t size) { return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0; }

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;

uint64_t mix(uint64_t h) {
  h = (h ^ (h >> 33)) * kPrime2;
  h = (h ^ (h >> 29)) * kPrime3;
  return h ^ (h >> 32);
}

// The inner loop of XXH64 over a whole block; needs no tail, for blocks are whole.
uint64_t hash_of_block(const char* bytes) {
  uint64_t lane[4] = {kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
  for (size_t i = 0; i < kBlockBytes; i += sizeof lane) {
    uint64_t word[4];
    memcpy(word, bytes + i, sizeof word);
    for (int k = 0; k < 4; k++) {
      lane[k] = std::rotl(lane[k] + word[k] * kPrime2, 31) * kPrime1;
    }
  }
  uint64_t h = 0;
  for (uint64_t l : lane) h = mix(h ^ l) * kPrime1;
  return h;
}

// Hash of a file's bytes, the same wherever its holes are: a block that is all
// zeros adds nothing, the others add their number and their bytes.
class ContentHash {
 public:
  // Reads the extents and nothing else: a page of a preallocated range that has been
  // read into the cache is "data" for SEEK_DATA from then on (Linux 6.18, ext4).
  void read(int fd, const std::vector<Extent>& extents, uint64_t size, std::string_view path) {
    for (const Extent& extent : extents) {
      const uint64_t end = std::min(extent.end, size);
      for (uint64_t at = extent.begin; at < end;) at += read_some(fd, at, end, path);
    }
    end_block();
    hash_ = mix(hash_ ^ size * kPrime3);
  }

  uint64_t value() const { return hash_; }

  // Whether some page within the extents was all zeros.
  bool saw_zero_page() const { return saw_zero_page_; }

 private:
  // Reads up to the end of the block or of the extent; the rest of a block is zeros.
  uint64_t read_some(int fd, uint64_t at, uint64_t end, std::string_view path) {
    if (at / kBlockBytes != number_) {
      end_block();
      number_ = at / kBlockBytes;
    }
    const uint64_t offset = at % kBlockBytes;
    const uint64_t wanted = std::min(end - at, kBlockBytes - offset);
    const ssize_t got = pread(fd, &block_[offset], wanted, static_cast<off_t>(at));
    if (got < 0) die("read", path);
    if (got == 0) die("read", path, "shrank while it was read");
    const auto bytes = static_cast<uint64_t>(got);
    for (uint64_t i = 0; i < bytes; i += kPageBytes) {
      const uint64_t page_bytes = std::min(kPageBytes, bytes - i);
      saw_zero_page_ = saw_zero_page_ || is_zero(&block_[offset + i], page_bytes);
    }
    return bytes;
  }

  void end_block() {
    if (is_zero(block_.data(), kBlockBytes)) return;
    hash_ = mix(hash_ ^ hash_of_block(block_.data())) + mix(number_ + kPrime1);
    memset(block_.data(), 0, kBlockBytes);
  }

  std::vector<char> block_ = std::vector<char>(kBlockBytes);
  uint64_t number_ = 0;
  uint64_t hash_ = 0;
  bool saw_zero_page_ = false;
};

std::string content_fields(int fd, uint64_t size, const Options& options, std::string_view path) {
  std::vector<Extent> extents = data_extents(fd, size, path);
  const bool is_whole = extents.size() == 1 && extents[0].begin == 0 && extents[0].end >= size;
  // Reading ahead would touch the pages between the extents.
  if (!is_whole) posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  ContentHash hash;
  hash.read(fd, extents, size, path);
  std::string out =
      format(" size=%llu hash=%016llx", static_cast<unsigned long long>(size), static_cast<unsigned long long>(hash.value()));
  if (!options.holes) return out;

  // Zeros may be a preallocated range that somebody read: ask again without the cache.
  if (hash.saw_zero_page()) {
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    extents = data_extents(fd, size, path);
  }
  out += " data=";
  const char* separator = "";
  for (const Extent& extent : extents) {
    out += separator + std::to_string(extent.begin) + "-" + std::to_string(extent.end);
    separator = ",";
  }
  return out;
}

// ---- attributes

// What `call(buffer, size)` puts into a buffer. Most answers are short, and the kernel
// allocates and clears as much as it is offered: offers little first.
template <typename Call>
ssize_t read_answer(Call call, std::vector<char>* buffer) {
  static_assert(XATTR_LIST_MAX == XATTR_SIZE_MAX);
  buffer->resize(512);
  ssize_t size = call(buffer->data(), buffer->size());
  if (size >= 0 || errno != ERANGE) return size;
  buffer->resize(XATTR_SIZE_MAX);
  return call(buffer->data(), buffer->size());
}

// Also asks for the ACLs by name: a file system may have them and not list them.
std::string xattr_fields(int fd, mode_t mode, std::string_view path) {
  std::vector<char> buffer;
  const std::string object = proc_path(fd);
  std::vector<std::string> names = {"system.posix_acl_access"};
  if (S_ISDIR(mode)) names.emplace_back("system.posix_acl_default");
  const auto list = [&](char* p, size_t n) { return listxattr(object.c_str(), p, n); };
  const ssize_t listed = read_answer(list, &buffer);
  if (listed < 0 && errno != ENOTSUP && errno != ENOSYS) die("list attributes of", path);
  for (ssize_t at = 0; at < listed; at += static_cast<ssize_t>(names.back().size()) + 1) {
    names.emplace_back(&buffer[static_cast<size_t>(at)]);
  }
  // On xfs an ACL has these names, too.
  std::erase_if(names, [](const std::string& name) { return name.starts_with("trusted.SGI_ACL_"); });
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());

  std::string out;
  for (const std::string& name : names) {
    const auto get = [&](char* p, size_t n) { return getxattr(object.c_str(), name.c_str(), p, n); };
    const ssize_t size = read_answer(get, &buffer);
    const bool is_acl = name.starts_with("system.posix_acl_");
    if (size < 0 && is_acl && (errno == ENODATA || errno == ENOTSUP || errno == ENOSYS)) continue;
    if (size < 0) die("read attributes of", path);
    out += " xattr:" + escape(name) + "=" + hex({buffer.data(), static_cast<size_t>(size)});
  }
  return out;
}

// The flags of chattr(1) that belong to the object and not to its storage, in
// chattr's letters. Special files and symbolic links cannot be asked.
std::string flag_field(int fd) {
  static const std::pair<int, char> kLetters[] = {
      {FS_APPEND_FL, 'a'},  {FS_IMMUTABLE_FL, 'i'}, {FS_NODUMP_FL, 'd'},
      {FS_NOATIME_FL, 'A'}, {FS_SYNC_FL, 'S'},      {FS_DIRSYNC_FL, 'D'},
  };
  int flags = 0;
  std::string letters;
  if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
    for (const auto& [flag, letter] : kLetters) {
      if (flags & flag) letters += letter;
    }
  }
  return " flags=" + (letters.empty() ? "0" : letters);
}

std::string target_field(int fd, std::string_view path) {
  char target[PATH_MAX];
  const ssize_t size = readlinkat(fd, "", target, sizeof target);
  if (size < 0) die("read link", path);
  return " target=" + escape({target, static_cast<size_t>(size)});
}

char type_letter(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return 'f';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFIFO: return 'p';
    case S_IFSOCK: return 's';
    case S_IFBLK: return 'b';
    case S_IFCHR: return 'c';
    default: return '?';
  }
}

bool is_special(mode_t mode) { return S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISBLK(mode) || S_ISCHR(mode); }

// ---- the walk

class Manifest {
 public:
  explicit Manifest(const Options& options) : options_(options) {}

  // Prints the tree; a stack of its own instead of recursion, for depth has no limit.
  void print() {
    Fd root = open_at(AT_FDCWD, options_.root.c_str(), O_RDONLY | O_DIRECTORY, options_.root);
    print_object(root.get(), ".", ".");
    enter(std::move(root));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next == level.items.size()) {
        leave();
        continue;
      }
      visit(level, std::move(level.items[level.next++]));
    }
  }

 private:
  struct Level {
    Fd dir;  // closed while kOpenLevels deeper ones are open
    struct stat st;
    size_t path_bytes;
    // A name stands for the object, a name with '/' for what is below it: sorted
    // that way ("a", "a.b", "a/"), the walk meets all paths in the order of their bytes.
    std::vector<std::string> items;
    size_t next = 0;
  };

  void visit(const Level& level, std::string item) {
    const bool is_below = item.back() == '/';
    if (is_below) item.pop_back();
    if (level.path_bytes > 0) path_ += '/';
    path_ += item;
    if (is_below) {
      const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
      enter(open_at(level.dir.get(), item.c_str(), flags, path_));
    } else {
      print_object(level.dir.get(), item, path_);
      path_.resize(level.path_bytes);
    }
  }

  void enter(Fd dir) {
    const struct stat st = stat_of(dir.get(), path_);
    std::vector<std::string> items = items_of(dir.get());
    levels_.push_back({std::move(dir), st, path_.size(), std::move(items)});
    if (levels_.size() > kOpenLevels) levels_[levels_.size() - 1 - kOpenLevels].dir.reset();
  }

  void leave() {
    const Level left = std::move(levels_.back());
    levels_.pop_back();
    if (levels_.empty()) return;
    Level& level = levels_.back();
    path_.resize(level.path_bytes);
    if (level.dir.is_open()) return;
    level.dir = open_at(left.dir.get(), "..", O_RDONLY | O_DIRECTORY, path_);
    const struct stat st = stat_of(level.dir.get(), path_);
    if (st.st_dev != level.st.st_dev || st.st_ino != level.st.st_ino) {
      die("come back to", path_, "moved while it was read");
    }
  }

  std::vector<std::string> items_of(int dir) {
    DIR* stream = fdopendir(dup(dir));
    if (stream == nullptr) die("list", path_);
    std::vector<std::string> items;
    errno = 0;
    while (const dirent* entry = readdir(stream)) {
      add_items(dir, entry, &items);
      errno = 0;
    }
    if (errno != 0) die("list", path_);
    closedir(stream);
    std::sort(items.begin(), items.end());
    return items;
  }

  void add_items(int dir, const dirent* entry, std::vector<std::string>* items) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || is_excluded(name)) return;
    mode_t mode = DTTOIF(entry->d_type);
    if (entry->d_type == DT_UNKNOWN) {
      struct stat st;
      if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        die("stat", path_ + "/" + name);
      }
      mode = st.st_mode;
    }
    if (is_special(mode) && !options_.special) return;
    items->push_back(name);
    if (S_ISDIR(mode)) items->push_back(name + '/');
  }

  bool is_excluded(const std::string& name) const {
    const std::string anchored = (path_.empty() ? "/" : "/" + path_ + "/") + name;
    return std::any_of(options_.excluded.begin(), options_.excluded.end(),
                       [&](const std::string& e) { return e == name || e == anchored; });
  }

  void print_object(int dir, const std::string& name, const std::string& path) {
    const Fd object = open_at(dir, name.c_str(), O_PATH | O_NOFOLLOW, path);
    const struct stat st = stat_of(object.get(), path);
    Fd readable;
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
      readable = open_at(AT_FDCWD, proc_path(object.get()).c_str(), O_RDONLY, path);
    }

    std::string line = escape(path) + ' ' + type_letter(st.st_mode) + stat_fields(st);
    if (!S_ISDIR(st.st_mode)) line += link_field(st, path);
    if (S_ISREG(st.st_mode)) {
      const auto size = static_cast<uint64_t>(st.st_size);
      line += content_fields(readable.get(), size, options_, path);
    }
    if (S_ISLNK(st.st_mode)) line += target_field(object.get(), path);
    if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)) {
      line += format(" dev=%u:%u", major(st.st_rdev), minor(st.st_rdev));
    }
    if (options_.flags) line += flag_field(readable.get());
    line += xattr_fields(object.get(), st.st_mode, path) + '\n';
    fwrite(line.data(), 1, line.size(), stdout);
  }

  std::string stat_fields(const struct stat& st) const {
    std::string out = format(" mode=%04o", st.st_mode & 07777);
    if (options_.owner) out += format(" uid=%u gid=%u", st.st_uid, st.st_gid);
    if (options_.mtime) {
      out += format(" mtime=%lld.%09ld", static_cast<long long>(st.st_mtim.tv_sec), st.st_mtim.tv_nsec);
    }
    return out;
  }

  std::string link_field(const struct stat& st, const std::string& path) {
    if (st.st_nlink < 2) return "";
    const auto [first, is_new] = first_paths_.try_emplace({st.st_dev, st.st_ino}, path);
    return " links=" + std::to_string(st.st_nlink) + ":" + escape(first->second);
  }

  const Options& options_;
  std::vector<Level> levels_;
  std::string path_;  // of the directory at the top of levels_; empty at the root
  std::map<std::pair<dev_t, ino_t>, std::string> first_paths_;
};

// ---- command line

constexpr char kUsage[] =
    "usage: manifest [OPTION]... DIR\n"
    "  --no-owner      leave out user and group\n"
    "  --no-flags      leave out the flags of chattr(1)\n"
    "  --no-mtime      leave out modification times\n"
    "  --no-holes      leave out where files have data\n"
    "  --no-special    leave out devices, FIFOs and sockets\n"
    "  --exclude NAME  leave out what has this name, and all below it;\n"
    "                  /PATH only at this place in DIR\n";

[[noreturn]] void exit_with_usage(FILE* out, int status) {
  fputs(kUsage, out);
  exit(status);
}

Options parse(int argc, char** argv) {
  static const option kOptions[] = {
      {"no-owner", no_argument, nullptr, 'o'},   {"no-flags", no_argument, nullptr, 'f'},
      {"no-mtime", no_argument, nullptr, 'm'},   {"no-holes", no_argument, nullptr, 'h'},
      {"no-special", no_argument, nullptr, 's'}, {"exclude", required_argument, nullptr, 'x'},
      {"help", no_argument, nullptr, 'u'},       {nullptr, 0, nullptr, 0},
  };
  Options options;
  for (int c; (c = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (c) {
      case 'o': options.owner = false; break;
      case 'f': options.flags = false; break;
      case 'm': options.mtime = false; break;
      case 'h': options.holes = false; break;
      case 's': options.special = false; break;
      case 'x': options.excluded.emplace_back(optarg); break;
      case 'u': exit_with_usage(stdout, 0);
      default: exit_with_usage(stderr, 2);
    }
  }
  if (argc - optind != 1) exit_with_usage(stderr, 2);
  options.root = argv[optind];
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  Manifest(options).print();
  if (fflush(stdout) != 0 || ferror(stdout)) die("write", "standard output");
}
