// What is in a file: the ways to write it, to see it, to share it, and files that have no name.
#pragma once

#include <linux/falloc.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <csetjmp>
#include <csignal>
#include <cstdint>

#include "tests/support/semantics.h"

namespace tfs::support {

inline std::string checksum(std::string_view bytes) {
  uint32_t sum = 1;
  for (unsigned char c : bytes) sum = sum * 31 + c;
  char text[32];
  std::snprintf(text, sizeof text, "%zu bytes, %08x", bytes.size(), sum);
  return text;
}

inline std::string pattern(size_t size, unsigned salt) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; i++) out[i] = static_cast<char>('a' + (i / 7 + salt) % 26);
  return out;
}

// ---- opening

inline void section_open_flags() {
  make_file("file", "0123456789");
  must("mkdir", ::mkdir("dir", 0755));
  ::symlink("file", "link");
  ::symlink("dir", "dirlink");
  ::symlink("nowhere", "dangling");
  ::symlink("loop", "loop");
  ::mkfifo("fifo", 0644);
  tell("O_EXCL on a file", File("file", O_WRONLY | O_CREAT | O_EXCL));
  tell("O_EXCL on a link", File("dangling", O_WRONLY | O_CREAT | O_EXCL));
  tell("O_CREAT through a dangling link", File("dangling", O_WRONLY | O_CREAT));
  show("nowhere");
  tell("O_CREAT on a directory", File("dir", O_RDONLY | O_CREAT));
  tell("O_WRONLY on a directory", File("dir", O_WRONLY));
  tell("O_NOFOLLOW on a link", File("link", O_RDONLY | O_NOFOLLOW));
  tell("O_PATH and O_NOFOLLOW on a link", File("link", O_PATH | O_NOFOLLOW));
  tell("O_DIRECTORY on a file", File("file", O_RDONLY | O_DIRECTORY));
  tell("O_DIRECTORY on a link to a directory", File("dirlink", O_RDONLY | O_DIRECTORY));
  tell("a loop", File("loop", O_RDONLY));
  tell("below a file", File("file/below", O_RDONLY));
  tell("a slash behind a file", File("file/", O_RDONLY));
  tell("a slash behind a new name", File("new/", O_RDONLY | O_CREAT));
  tell("nothing", File("", O_RDONLY));
  tell("O_RDONLY and O_TRUNC", File("file", O_RDONLY | O_TRUNC));
  show("file");
  tell("a FIFO with O_NONBLOCK, to write", File("fifo", O_WRONLY | O_NONBLOCK));
  tell("a FIFO with O_NONBLOCK, to read", File("fifo", O_RDONLY | O_NONBLOCK));
  File r("file", O_RDONLY), w("file", O_WRONLY), p("file", O_PATH);
  char c;
  tell("write to O_RDONLY", ::write(r, "x", 1));
  tell("read from O_WRONLY", ::read(w, &c, 1));
  tell("read from O_PATH", ::read(p, &c, 1));
  tell("ftruncate of O_RDONLY", ::ftruncate(r, 0));
  tell("fchmod of O_PATH", ::fchmod(p, 0600));
  tell("fsetxattr of O_PATH", ::fsetxattr(p, "user.a", "1", 1, 0));
  tell("fsync of O_RDONLY", ::fsync(r));
  tell("fdatasync", ::fdatasync(w));
  tell("fsync of a directory", ::fsync(File("dir", O_RDONLY)));
  tell("syncfs", ::syncfs(r));
  tell("sync_file_range", ::sync_file_range(w, 0, 100, SYNC_FILE_RANGE_WRITE));
  tell("posix_fadvise", -::posix_fadvise(r, 0, 100, POSIX_FADV_DONTNEED));
  tell("readahead", ::readahead(r, 0, 100));
  tell("truncate of a directory", ::truncate("dir", 0));
  tell("truncate to a negative size", ::truncate("file", -1));
  tell("read of a directory", ::read(File("dir", O_RDONLY), &c, 1));
  tell("O_CREAT without a name of its own", File("dir/.", O_RDONLY | O_CREAT));
  // A mode that forbids what the creator itself may do.
  as(kAnn, [] {});
  must("chmod", ::chmod(".", 0777));
  as(kAnn, [] {
    File f("closed", O_RDWR | O_CREAT | O_EXCL, 0);
    tell("write to a new file of mode 0", ::write(f, "text", 4));
    tell("open it again", File("closed", O_RDWR));
    tell("O_CREAT on it", File("closed", O_RDWR | O_CREAT));
  });
  show("closed");
}

// ---- writing

inline void section_writes() {
  File f("file", O_RDWR | O_CREAT);
  count("write", ::write(f, "0123456789", 10));
  count("pwrite", ::pwrite(f, "abc", 3, 20));
  count("where", ::lseek(f, 0, SEEK_CUR));
  say("%s", hex_of(content_of("file")).c_str());
  iovec parts[] = {{const_cast<char*>("one"), 3}, {const_cast<char*>("two"), 3}, {const_cast<char*>("three"), 5}};
  count("writev", ::writev(f, parts, 3));
  count("pwritev2 with RWF_APPEND", ::pwritev2(f, parts, 3, 0, RWF_APPEND));
  count("pwritev2 with RWF_DSYNC", ::pwritev2(f, parts, 2, 2, RWF_DSYNC));
  say("%s", hex_of(content_of("file")).c_str());
  char buffer[100];
  iovec into[] = {{buffer, 4}, {buffer + 50, 40}};
  count("preadv", ::preadv(f, into, 2, 1));
  count("read behind the end", ::pread(f, buffer, 10, 1000));
  count("SEEK_END", ::lseek(f, 5, SEEK_END));
  tell("a negative position", ::lseek(f, -1000, SEEK_END));
  count("write of nothing behind the end", ::pwrite(f, "", 0, 5000));
  show("file");
  // Two descriptors of one open file share its position, two opens do not.
  File second("file", O_RDWR);
  int twin = ::dup(f);
  ::lseek(f, 3, SEEK_SET);
  count("where the twin is", ::lseek(twin, 0, SEEK_CUR));
  count("where the other is", ::lseek(second, 0, SEEK_CUR));
  apart([&] { ::write(f, "from a child", 12); });
  count("where the parent is", ::lseek(f, 0, SEEK_CUR));
  ::close(twin);
  // Sizes beyond 32 bits.
  File big("big", O_RDWR | O_CREAT);
  count("write beyond 4 GiB", ::pwrite(big, "far", 3, (int64_t{5} << 30) + 7));
  tell("truncate to 6 GiB", ::ftruncate(big, int64_t{6} << 30));
  count("write beyond 2 GiB", ::pwrite(big, "near", 4, (int64_t{2} << 30) + 1));
  show("big");
  count("read it", ::pread(big, buffer, 10, (int64_t{5} << 30)));
  say("%s", hex_of({buffer, 10}).c_str());
  tell("a position that is too large", ::pwrite(big, "x", 1, INT64_MAX));
  // Large writes, in odd pieces.
  std::string data = pattern(3'000'017, 3);
  File large("large", O_RDWR | O_CREAT);
  count("3 MB at once", ::write(large, data.data(), data.size()));
  count("over its middle", ::pwrite(large, data.data(), 1'500'001, 700'003));
  say("%s", checksum(content_of("large")).c_str());
  tell("cut", ::ftruncate(large, 1'234'567));
  tell("and grow", ::ftruncate(large, 2'000'000));
  say("%s", checksum(content_of("large")).c_str());
  // The limit of a process; lifted again before anything is printed, for it is that of standard output, too.
  apart([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{10000, RLIM_INFINITY}, no_limit{RLIM_INFINITY, RLIM_INFINITY};
    File f2("limited", O_RDWR | O_CREAT);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ssize_t within = ::write(f2, data.data(), 20000);
    ssize_t beyond = ::write(f2, data.data(), 1) < 0 ? errno : 0;
    int cut = ::ftruncate(f2, 10001) < 0 ? errno : 0;
    int allocated = ::fallocate(f2, 0, 0, 10001) < 0 ? errno : 0;
    ::setrlimit(RLIMIT_FSIZE, &no_limit);
    say("the limit: %zd %zd %d %d", within, beyond, cut, allocated);
  });
  show("limited");
}

inline void section_appends() {
  File f("file", O_RDWR | O_CREAT | O_APPEND);
  ::write(f, "0123", 4);
  ::lseek(f, 0, SEEK_SET);
  count("append", ::write(f, "4567", 4));
  count("where", ::lseek(f, 0, SEEK_CUR));
  count("pwrite appends, too", ::pwrite(f, "89", 2, 0));
  say("%s", content_of("file").c_str());
  tell("O_APPEND off", ::fcntl(f, F_SETFL, 0));
  count("pwrite", ::pwrite(f, "ab", 2, 0));
  tell("O_APPEND on", ::fcntl(f, F_SETFL, O_APPEND));
  count("write", ::write(f, "cd", 2));
  say("%s", content_of("file").c_str());
  tell("truncate under it", ::truncate("file", 3));
  count("append", ::write(f, "ef", 2));
  say("%s", content_of("file").c_str());
  // Several processes: no record is lost, none is torn.
  constexpr int kProcesses = 3, kRecords = 400;
  pid_t children[kProcesses];
  std::fflush(stdout);
  for (int p = 0; p < kProcesses; p++) {
    children[p] = ::fork();
    if (children[p] != 0) continue;
    File log("log", O_WRONLY | O_CREAT | O_APPEND);
    for (int i = 0; i < kRecords; i++) {
      std::string record(static_cast<size_t>(20 + (i * 37 + p) % 700), static_cast<char>('A' + p));
      record += "\n";
      if (::write(log, record.data(), record.size()) != static_cast<ssize_t>(record.size())) std::_Exit(1);
    }
    std::_Exit(0);
  }
  for (pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    is("a writer ended well", status == 0);
  }
  std::string all = content_of("log");
  size_t records = 0, torn = 0;
  for (size_t at = 0; at < all.size();) {
    size_t end = all.find('\n', at);
    if (end == std::string::npos) end = all.size();
    std::string_view record = std::string_view(all).substr(at, end - at);
    if (record.empty() || record.find_first_not_of(record[0]) != record.npos) torn++;
    records++;
    at = end + 1;
  }
  say("%zu records, %zu torn", records, torn);
  // Their order is chance, which the comparison with a mirror must not mind: it does not, but a native run does.
  ::unlink("log");
}

inline void section_direct() {
  auto* buffer = static_cast<char*>(::aligned_alloc(4096, 65536));
  std::string data = pattern(65536, 9);
  std::copy(data.begin(), data.end(), buffer);
  File direct("file", O_RDWR | O_CREAT | O_DIRECT);
  if (!tell("open with O_DIRECT", direct)) return;
  File cached("file", O_RDWR);
  count("write", ::pwrite(direct, buffer, 65536, 0));
  say("%s", checksum(content_of("file")).c_str());
  count("write over a part, cached", ::pwrite(cached, "cached", 6, 5000));
  count("read, direct", ::pread(direct, buffer, 8192, 4096));
  say("%s", checksum({buffer, 8192}).c_str());
  std::memset(buffer, 'D', 4096);
  count("write, direct", ::pwrite(direct, buffer, 4096, 8192));
  count("read, cached", ::pread(cached, buffer, 10, 8190));
  say("%s", hex_of({buffer, 10}).c_str());
  count("write behind the end", ::pwrite(direct, buffer, 4096, 131072));
  count("read across the end", ::pread(direct, buffer, 8192, 131072));
  show("file");
  // And with a mapping beside it.
  void* map = ::mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, cached, 0);
  if (!tell("map", map == MAP_FAILED ? -1 : 0)) return;
  auto* bytes = static_cast<char*>(map);
  bytes[0] = 'M';
  std::memset(buffer, 'E', 4096);
  count("write, direct", ::pwrite(direct, buffer, 4096, 4096));
  is("the mapping shows it", bytes[4096] == 'E' && bytes[0] == 'M');
  tell("msync", ::msync(map, 65536, MS_SYNC));
  count("read, direct", ::pread(direct, buffer, 4096, 0));
  is("what the mapping wrote", buffer[0] == 'M');
  ::munmap(map, 65536);
  say("%s", checksum(content_of("file")).c_str());
  std::free(buffer);
}

inline sigjmp_buf& bus_error_return() {
  static sigjmp_buf buffer;
  return buffer;
}

inline void section_mappings() {
  std::string data = pattern(20000, 1);
  make_file("file", data);
  File f("file", O_RDWR);
  auto* a = static_cast<char*>(::mmap(nullptr, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0));
  if (!tell("map", a == MAP_FAILED ? -1 : 0)) return;
  auto* b = static_cast<char*>(::mmap(nullptr, 20000, PROT_READ, MAP_SHARED, f, 0));
  auto* mine = static_cast<char*>(::mmap(nullptr, 20000, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0));
  std::memcpy(a + 100, "through the mapping", 19);
  mine[0] = '#';
  is("the other mapping shows it", std::memcmp(b + 100, "through the mapping", 19) == 0);
  is("the private one, too", std::memcmp(mine + 100, "through the mapping", 19) == 0);
  is("nobody sees what is private", b[0] != '#');
  char buffer[20];
  ::pread(f, buffer, 19, 100);
  is("read shows it", std::memcmp(buffer, "through the mapping", 19) == 0);
  ::pwrite(f, "written", 7, 9000);
  is("the mapping shows a write", std::memcmp(b + 9000, "written", 7) == 0);
  apart([&] { std::memcpy(a + 12000, "by a child", 10); });
  is("the mapping shows a child's", std::memcmp(b + 12000, "by a child", 10) == 0);
  f.close();
  a[19999] = '!';
  tell("msync", ::msync(a, 20000, MS_SYNC));
  say("%s", checksum(content_of("file")).c_str());
  // Two more processes, each with a mapping of its own, at the same time.
  std::fflush(stdout);
  pid_t children[2];
  for (int p = 0; p < 2; p++) {
    children[p] = ::fork();
    if (children[p] != 0) continue;
    File own("file", O_RDWR);
    auto* map = static_cast<char*>(::mmap(nullptr, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0));
    for (int i = p; i < 20000; i += 2) map[i] = static_cast<char>('0' + p);
    std::_Exit(0);
  }
  for (pid_t child : children) ::waitpid(child, nullptr, 0);
  is("both are seen", a[777] == '1' && a[778] == '0');
  // The last page beyond the end of the file, and pages beyond it.
  tell("truncate under the mapping", ::truncate("file", 5000));
  a[5500] = 'x';
  tell("and back", ::truncate("file", 20000));
  is("zeros behind the cut", a[6000] == 0 && a[19000] == 0);
  a[5500] = '\0';
  tell("truncate", ::truncate("file", 1));
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { siglongjmp(bus_error_return(), 1); };
  ::sigaction(SIGBUS, &action, &before);
  if (sigsetjmp(bus_error_return(), 1) == 0) {
    a[9000] = 'y';
    say("a write behind the end: ok");
  } else {
    say("a write behind the end: SIGBUS");
  }
  ::sigaction(SIGBUS, &before, nullptr);
  ::munmap(a, 20000);
  ::munmap(b, 20000);
  ::munmap(mine, 20000);
  show("file");
  // A new file, written through a mapping alone, and one that is unlinked before its pages go out.
  for (const char* name : {"new", "gone"}) {
    File n(name, O_RDWR | O_CREAT);
    ::ftruncate(n, 100000);
    auto* map = static_cast<char*>(::mmap(nullptr, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, n, 0));
    for (size_t i = 0; i < 100000; i += 3) map[i] = static_cast<char>('a' + i % 26);
    if (name == std::string_view("gone")) ::unlink(name);
    ::munmap(map, 100000);
  }
  say("%s", checksum(content_of("new")).c_str());
  tell("map for writing what is open for reading",
       ::mmap(nullptr, 1, PROT_WRITE, MAP_SHARED, File("new", O_RDONLY), 0) == MAP_FAILED ? -1 : 0);
}

// ---- holes

inline void show_extents(const char* what, int fd) {
  std::string out;
  for (off_t at = 0;;) {
    off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0) {
      if (errno != ENXIO) out += std::string(" ") + strerrorname_np(errno);
      break;
    }
    at = ::lseek(fd, data, SEEK_HOLE);
    out += " " + std::to_string(data) + "-" + std::to_string(at);
  }
  struct stat st;
  ::fstat(fd, &st);
  say("%s: size %lld, data%s", what, static_cast<long long>(st.st_size), out.c_str());
}

inline void section_holes() {
  std::string data = pattern(65536, 5);
  File f("file", O_RDWR | O_CREAT);
  ::pwrite(f, data.data(), 8192, 0);
  ::pwrite(f, data.data(), 8192, 1 << 20);
  ::ftruncate(f, 3 << 20);
  ::fsync(f);
  show_extents("sparse", f);
  tell("SEEK_DATA behind the end", ::lseek(f, 4 << 20, SEEK_DATA));
  tell("SEEK_HOLE behind the end", ::lseek(f, 4 << 20, SEEK_HOLE));
  tell("punch", ::fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
  tell("punch an odd piece", ::fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (1 << 20) + 100, 5000));
  ::fsync(f);
  show_extents("punched", f);
  say("%s", checksum(content_of("file")).c_str());
  tell("zero a range", ::fallocate(f, FALLOC_FL_ZERO_RANGE, 1000, 500));
  tell("allocate", ::fallocate(f, 0, 2 << 20, 8192));
  tell("allocate behind the end, keeping the size", ::fallocate(f, FALLOC_FL_KEEP_SIZE, 3 << 20, 65536));
  show("file");
  tell("allocate behind the end", ::fallocate(f, 0, (3 << 20) + 5, 70000));
  show("file");
  say("%s", checksum(content_of("file")).c_str());
  tell("punch without keeping the size", ::fallocate(f, FALLOC_FL_PUNCH_HOLE, 0, 4096));
  tell("a length of nothing", ::fallocate(f, 0, 0, 0));
  tell("a negative length", ::fallocate(f, 0, 0, -1));
  tell("a range that is too large", ::fallocate(f, 0, INT64_MAX - 10, 100));
  tell("unknown modes", ::fallocate(f, 0x4000, 0, 10));
  tell("of what is open for reading", ::fallocate(File("file", O_RDONLY), 0, 0, 10));
  tell("of a directory", ::fallocate(File(".", O_RDONLY), 0, 0, 10));
  tell("punch all", ::fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 30));
  ::fsync(f);
  show_extents("punched all over", f);
  tell("posix_fallocate", -::posix_fallocate(f, 100, 1000));
  File empty("empty", O_RDWR | O_CREAT);
  show_extents("empty", empty);
  // A write into what was reserved.
  File reserved("reserved", O_RDWR | O_CREAT);
  tell("reserve", ::fallocate(reserved, FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
  ::pwrite(reserved, data.data(), 5000, 300000);
  say("%s", checksum(content_of("reserved")).c_str());
}

inline void section_copies() {
  std::string data = pattern(200'000, 2);
  make_file("source", data);
  File from("source", O_RDWR), to("target", O_RDWR | O_CREAT);
  off_t in = 100, out = 5000;
  count("copy", ::copy_file_range(from, &in, to, &out, 50'000, 0));
  say("in %lld out %lld", static_cast<long long>(in), static_cast<long long>(out));
  count("copy by the descriptors' positions", ::copy_file_range(from, nullptr, to, nullptr, 1000, 0));
  count("where", ::lseek(to, 0, SEEK_CUR));
  in = 199'990, out = 60'000;
  count("copy across the end", ::copy_file_range(from, &in, to, &out, 1000, 0));
  in = 300'000;
  count("copy from behind the end", ::copy_file_range(from, &in, to, &out, 1000, 0));
  say("%s", checksum(content_of("target")).c_str());
  in = 0, out = 150'000;
  count("within a file", ::copy_file_range(from, &in, from, &out, 20'000, 0));
  in = 0, out = 10;
  count("over itself", ::copy_file_range(from, &in, from, &out, 20'000, 0));
  say("%s", checksum(content_of("source")).c_str());
  count("to what appends", ::copy_file_range(from, nullptr, File("target", O_WRONLY | O_APPEND), nullptr, 10, 0));
  count("to what is open for reading", ::copy_file_range(from, nullptr, File("target", O_RDONLY), nullptr, 10, 0));
  count("from a directory", ::copy_file_range(File(".", O_RDONLY), nullptr, to, nullptr, 10, 0));
  count("with flags", ::copy_file_range(from, nullptr, to, nullptr, 10, 1));
  // Source and target that are known by another way than their names.
  ::unlink("source");
  File nameless(".", O_RDWR | O_TMPFILE);
  in = 0, out = 3;
  count("between files without names", ::copy_file_range(from, &in, nameless, &out, 30'000, 0));
  tell("give it a name", ::linkat(AT_FDCWD, magic_link(nameless).c_str(), AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  say("%s", checksum(content_of("named")).c_str());
  in = 10;
  count("sendfile", ::sendfile(to, from, &in, 40'000));
  int ends[2];
  must("pipe", ::pipe(ends));
  in = 0;
  count("splice from", ::splice(from, &in, ends[1], nullptr, 4096, 0));
  out = 100;
  count("splice to", ::splice(ends[0], nullptr, to, &out, 4096, 0));
  ::close(ends[0]);
  ::close(ends[1]);
  say("%s", checksum(content_of("target")).c_str());
  // Holes in the source, and more than what one call copies.
  File sparse("sparse", O_RDWR | O_CREAT);
  ::pwrite(sparse, data.data(), 10'000, 0);
  ::pwrite(sparse, data.data(), 10'000, 90'000'000);
  File copy("sparse-copy", O_RDWR | O_CREAT);
  in = 0, out = 0;
  for (ssize_t n; in < 90'010'000 && (n = ::copy_file_range(sparse, &in, copy, &out, 1 << 30, 0)) > 0;) continue;
  show("sparse-copy");
  char end[10];
  count("its end", ::pread(copy, end, 10, 90'009'990));
  say("%s", hex_of({end, 10}).c_str());
}

// ---- without a name

inline void use_nameless(const char* what, int fd) {
  std::string w = what;
  count("write to " + w, ::pwrite(fd, "no name", 7, 0));
  tell("truncate " + w, ::ftruncate(fd, 5000));
  tell("chmod " + w, ::fchmod(fd, 0640));
  tell("chown " + w, ::fchown(fd, 5, 6));
  timespec times[2] = {{1000, 1}, {2000, 2}};
  tell("set the times of " + w, ::futimens(fd, times));
  tell("set an attribute of " + w, ::fsetxattr(fd, "user.a", "value", 5, 0));
  tell("and one more", ::fsetxattr(fd, "user.b", "value", 5, 0));
  tell("remove it", ::fremovexattr(fd, "user.b"));
  tell("allocate in " + w, ::fallocate(fd, 0, 10000, 1000));
  tell("punch into " + w, ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
  char value[10];
  count("read the attribute of " + w, ::fgetxattr(fd, "user.a", value, sizeof value));
  void* map = ::mmap(nullptr, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (tell("map " + w, map == MAP_FAILED ? -1 : 0)) {
    static_cast<char*>(map)[3000] = 'm';
    ::munmap(map, 5000);
  }
  tell("sync " + w, ::fsync(fd));
  struct stat st;
  ::fstat(fd, &st);
  say("%s: %06o %u:%u links %lu size %lld mtime %d", what, st.st_mode, st.st_uid, st.st_gid, st.st_nlink,
      static_cast<long long>(st.st_size), st.st_mtim.tv_nsec == 2);
  tell("open " + w + " again", File(magic_link(fd).c_str(), O_RDWR));
  char text[10] = {};
  count("read " + w, ::pread(fd, text, 7, 0));
  say("%s", text);
}

inline void section_without_names() {
  {
    File f("unlinked", O_RDWR | O_CREAT);
    ::write(f, "0123456789", 10);
    tell("unlink", ::unlink("unlinked"));
    use_nameless("an unlinked file", f);
    tell("link it again", ::linkat(AT_FDCWD, magic_link(f).c_str(), AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
    make_file("unlinked", "another file of that name");
    use_nameless("the unlinked file", f);
  }
  show("unlinked");
  {
    make_file("target", "is replaced");
    make_file("source", "replaces");
    File f("target", O_RDWR);
    tell("rename over", ::rename("source", "target"));
    use_nameless("the replaced file", f);
  }
  show("target");
  {
    // One name goes, the other stays.
    make_file("first", "two names");
    ::link("first", "second");
    File f("first", O_RDWR);
    tell("unlink one name", ::unlink("first"));
    ::pwrite(f, "TWO", 3, 0);
    use_nameless("a file with a name left", f);
    show("second");
    tell("link the other", ::link("second", "third"));
    tell("unlink the other", ::unlink("second"));
    ::pwrite(f, "three", 5, 0);
    show("third");
    tell("unlink the last", ::unlink("third"));
    use_nameless("a file without names", f);
  }
  {
    File f(".", O_RDWR | O_TMPFILE, 0604);
    if (tell("O_TMPFILE", f)) {
      use_nameless("a temporary file", f);
      tell("link it", ::linkat(AT_FDCWD, magic_link(f).c_str(), AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
      tell("link it twice", ::linkat(f, "", AT_FDCWD, "linked-2", AT_EMPTY_PATH));
      show("linked");
      ::pwrite(f, "named now", 9, 0);
      tell("unlink it", ::unlink("linked"));
      tell("and the other", ::unlink("linked-2"));
      use_nameless("a temporary file that had names", f);
    }
    File exclusive(".", O_RDWR | O_TMPFILE | O_EXCL);
    tell("O_TMPFILE and O_EXCL", exclusive);
    tell("link that", ::linkat(AT_FDCWD, magic_link(exclusive).c_str(), AT_FDCWD, "not-linked", AT_SYMLINK_FOLLOW));
    tell("O_TMPFILE to read", File(".", O_RDONLY | O_TMPFILE));
    tell("O_TMPFILE in a file", File("target", O_RDWR | O_TMPFILE));
    tell("O_TMPFILE in nothing", File("nothing", O_RDWR | O_TMPFILE));
    must("mkdir", ::mkdir("closed", 0755));
    as(kAnn, [] { tell("O_TMPFILE in a directory that is not mine", File("closed", O_RDWR | O_TMPFILE)); });
  }
  {
    // What is open is written to while its name goes through others.
    make_file("moving", "");
    File f("moving", O_WRONLY | O_APPEND);
    ::mkdir("dir", 0755);
    ::write(f, "one ", 4);
    ::rename("moving", "dir/moved");
    ::write(f, "two ", 4);
    ::rename("dir", "dir-2");
    ::write(f, "three ", 6);
    ::link("dir-2/moved", "linked-3");
    ::unlink("dir-2/moved");
    ::write(f, "four", 4);
    say("%s", content_of("linked-3").c_str());
  }
}

}  // namespace tfs::support
