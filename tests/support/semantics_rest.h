// Attributes, times, flags, locks, programs, and how a process hears of changes.
#pragma once

#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <time.h>

#include "tests/support/semantics.h"

namespace tfs::support {

// ---- locks

inline std::string lock_of(int fd, short type, off_t start, off_t length) {
  struct flock lock {
    type, SEEK_SET, start, length, 0
  };
  if (::fcntl(fd, F_GETLK, &lock) != 0) return strerrorname_np(errno);
  if (lock.l_type == F_UNLCK) return "free";
  return std::string(lock.l_type == F_RDLCK ? "read" : "write") + " " + std::to_string(lock.l_start) + "+" +
         std::to_string(lock.l_len);
}

inline int set_lock(int fd, short type, off_t start, off_t length, int command = F_SETLK) {
  struct flock lock {
    type, SEEK_SET, start, length, 0
  };
  return ::fcntl(fd, command, &lock);
}

inline void section_locks() {
  make_file("file", std::string(1000, 'l'));
  File f("file", O_RDWR), g("file", O_RDWR);
  tell("flock shared", ::flock(f, LOCK_SH));
  tell("flock shared, elsewhere", ::flock(g, LOCK_SH | LOCK_NB));
  tell("flock exclusive", ::flock(f, LOCK_EX | LOCK_NB));
  tell("unlock elsewhere", ::flock(g, LOCK_UN));
  tell("flock exclusive", ::flock(f, LOCK_EX | LOCK_NB));
  apart([] { tell("flock of a child", ::flock(File("file", O_RDONLY), LOCK_SH | LOCK_NB)); });
  tell("fcntl read lock", set_lock(f, F_RDLCK, 0, 100));
  tell("fcntl write lock", set_lock(f, F_WRLCK, 200, 100));
  apart([] {
    File own("file", O_RDWR);
    say("a child sees %s, %s, %s", lock_of(own, F_WRLCK, 0, 0).c_str(), lock_of(own, F_RDLCK, 150, 100).c_str(),
        lock_of(own, F_WRLCK, 500, 100).c_str());
    tell("a child's read lock", set_lock(own, F_RDLCK, 50, 10));
    tell("a child's write lock", set_lock(own, F_WRLCK, 50, 10));
    tell("a child's lock of the rest", set_lock(own, F_WRLCK, 300, 0));
  });
  tell("a write lock on O_RDONLY", set_lock(File("file", O_RDONLY), F_WRLCK, 0, 1));
  apart([] { say("a closed descriptor took the locks away: %s", lock_of(File("file", O_RDWR), F_WRLCK, 0, 0).c_str()); });
  tell("open file description lock", set_lock(f, F_WRLCK, 0, 10, F_OFD_SETLK));
  tell("another description", set_lock(g, F_WRLCK, 5, 10, F_OFD_SETLK));
  tell("unlock", set_lock(f, F_UNLCK, 0, 0, F_OFD_SETLK));
  // Waiting for a lock that another process holds, until it ends.
  Turns held, said;
  for (bool by_flock : {true, false}) {
    std::fflush(stdout);
    ::flock(f, LOCK_UN);
    pid_t child = ::fork();
    if (child == 0) {
      int own = ::open("file", O_RDWR);
      bool is_held = (by_flock ? ::flock(own, LOCK_EX) : set_lock(own, F_WRLCK, 0, 0)) == 0;
      held.give();
      said.wait();
      ::usleep(20000);
      std::_Exit(is_held ? 0 : 1);
    }
    held.wait();
    tell("try what is held", by_flock ? ::flock(g, LOCK_EX | LOCK_NB) : set_lock(g, F_WRLCK, 3, 1));
    said.give();
    tell("wait for it", by_flock ? ::flock(g, LOCK_EX) : set_lock(g, F_WRLCK, 3, 1, F_SETLKW));
    int status = 1;
    ::waitpid(child, &status, 0);
    is("it was held", status == 0);
    ::flock(g, LOCK_UN);
  }
  // Two that wait for each other.
  set_lock(f, F_WRLCK, 0, 1);
  std::fflush(stdout);
  pid_t child = ::fork();
  if (child == 0) {
    int own = ::open("file", O_RDWR);
    set_lock(own, F_WRLCK, 1, 1);
    held.give();
    bool is_granted = set_lock(own, F_WRLCK, 0, 1, F_SETLKW) == 0;
    std::_Exit(is_granted ? 0 : 1);
  }
  held.wait();
  ::usleep(50000);
  tell("a deadlock", set_lock(f, F_WRLCK, 1, 1, F_SETLKW));
  set_lock(f, F_UNLCK, 0, 0);
  int status = 1;
  ::waitpid(child, &status, 0);
  is("the other gets on", status == 0);
  tell("flock of a directory", ::flock(File(".", O_RDONLY), LOCK_EX | LOCK_NB));
}

// ---- extended attributes

inline void section_xattrs() {
  make_file("file");
  must("mkdir", ::mkdir("dir", 0755));
  ::symlink("file", "link");
  std::vector<char> value(XATTR_SIZE_MAX + 1, 'v');
  char small[10];
  tell("create", ::setxattr("file", "user.a", "1", 1, XATTR_CREATE));
  tell("create again", ::setxattr("file", "user.a", "2", 1, XATTR_CREATE));
  tell("replace", ::setxattr("file", "user.a", "3", 1, XATTR_REPLACE));
  tell("replace what is not there", ::setxattr("file", "user.b", "4", 1, XATTR_REPLACE));
  tell("both", ::setxattr("file", "user.a", "5", 1, XATTR_CREATE | XATTR_REPLACE));
  tell("unknown flags", ::setxattr("file", "user.a", "5", 1, 8));
  tell("an empty value", ::setxattr("file", "user.empty", "", 0, 0));
  count("its size", ::getxattr("file", "user.empty", small, sizeof small));
  tell("a value with zeros", ::setxattr("file", "user.zeros", "a\0b\0", 4, 0));
  show("file");
  count("size", ::getxattr("file", "user.zeros", nullptr, 0));
  count("into too little", ::getxattr("file", "user.zeros", small, 3));
  count("what is not there", ::getxattr("file", "user.none", small, sizeof small));
  for (size_t size : {1000ul, 3000ul, 16384ul, 65535ul, 65536ul, 65537ul}) {
    std::string what = std::to_string(size) + " bytes";
    if (tell(what, ::setxattr("file", "user.large", value.data(), size, 0))) {
      count("read", ::getxattr("file", "user.large", value.data(), value.size()));
      count("read into exactly that", ::getxattr("file", "user.large", value.data(), size));
      count("read into one less", ::getxattr("file", "user.large", value.data(), size - 1));
    }
  }
  tell("remove", ::removexattr("file", "user.large"));
  tell("remove again", ::removexattr("file", "user.large"));
  std::string longest = "user." + std::string(250, 'n');
  tell("a name of 255 bytes", ::setxattr("file", longest.c_str(), "1", 1, 0));
  count("read it", ::getxattr("file", longest.c_str(), small, sizeof small));
  tell("a name of 256 bytes", ::setxattr("file", (longest + "n").c_str(), "1", 1, 0));
  tell("a name of nothing", ::setxattr("file", "user.", "1", 1, 0));
  tell("no namespace", ::setxattr("file", "nowhere.a", "1", 1, 0));
  tell("user. on a directory", ::setxattr("dir", "user.a", "1", 1, 0));
  tell("trusted. on a directory", ::setxattr("dir", "trusted.a", "1", 1, 0));
  tell("security. on a file", ::setxattr("file", "security.odd", "1", 1, 0));
  tell("system. on a file", ::setxattr("file", "system.odd", "1", 1, 0));
  tell("user. on a link", ::lsetxattr("link", "user.a", "1", 1, 0));
  tell("trusted. on a link", ::lsetxattr("link", "trusted.a", "1", 1, 0));
  tell("through a link", ::setxattr("link", "user.through", "1", 1, 0));
  for (const char* name : {"file", "dir", "link"}) show(name);
  char names[2000];
  count("list", ::listxattr("file", names, sizeof names));
  count("list into too little", ::listxattr("file", names, 5));
  count("list of nothing", ::listxattr("nothing", names, 5));
  as(kAnn, [] { show("file"); });
  tell("fsetxattr", ::fsetxattr(File("file", O_RDONLY), "user.by-descriptor", "1", 1, 0));
  must("chmod", ::chmod(".", 01777));
  as(kAnn, [] {
    tell("user. on another's sticky directory", ::setxattr(".", "user.a", "1", 1, 0));
    tell("security.capability", ::setxattr("file", "security.capability", "1", 1, 0));
  });
  vfs_cap_data capability{};
  capability.magic_etc = VFS_CAP_REVISION_2;
  capability.data[0].permitted = 1u << CAP_NET_BIND_SERVICE;
  tell("a capability", ::setxattr("file", "security.capability", &capability, XATTR_CAPS_SZ_2, 0));
  show("file");
}

// ---- times

inline void show_times(const char* path) {
  struct stat st;
  if (::lstat(path, &st) != 0) return;
  say("%s: atime %lld.%09ld mtime %lld.%09ld", path, static_cast<long long>(st.st_atim.tv_sec), st.st_atim.tv_nsec,
      static_cast<long long>(st.st_mtim.tv_sec), st.st_mtim.tv_nsec);
}

inline bool is_now(const timespec& t) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::abs(now.tv_sec - t.tv_sec) < 60;
}

inline void section_times() {
  make_file("file", "text");
  must("mkdir", ::mkdir("dir", 0755));
  ::symlink("file", "link");
  ::mkfifo("fifo", 0644);
  struct {
    const char* name;
    timespec times[2];
  } settings[] = {{"nanoseconds", {{1'000'000'000, 1}, {1'000'000'000, 999'999'999}}},
                  {"1902", {{-2'145'916'800, 5}, {-2'145'916'799, 6}}},
                  {"1969", {{-1, 123'456'789}, {-1, 987'654'321}}},
                  {"the beginning", {{0, 0}, {0, 1}}},
                  {"2400", {{13'569'465'600, 7}, {13'569'465'601, 8}}},
                  {"2^32", {{4'294'967'296, 9}, {4'294'967'297, 10}}},
                  {"nothing", {{5, UTIME_OMIT}, {5, UTIME_OMIT}}},
                  {"atime alone", {{77, 7}, {5, UTIME_OMIT}}},
                  {"mtime alone", {{5, UTIME_OMIT}, {88, 8}}}};
  for (const auto& s : settings) {
    for (const char* path : {"file", "dir", "link", "fifo"}) {
      tell(s.name, ::utimensat(AT_FDCWD, path, s.times, AT_SYMLINK_NOFOLLOW));
      show_times(path);
    }
  }
  timespec bad[2] = {{5, 1'000'000'000}, {5, 0}};
  tell("a second too full", ::utimensat(AT_FDCWD, "file", bad, 0));
  timespec mixed[2] = {{0, UTIME_NOW}, {99, 9}};
  tell("one of them now", ::utimensat(AT_FDCWD, "file", mixed, 0));
  struct stat st;
  ::stat("file", &st);
  is("atime is now", is_now(st.st_atim));
  is("mtime is 99", st.st_mtim.tv_sec == 99 && st.st_mtim.tv_nsec == 9);
  tell("both now", ::utimensat(AT_FDCWD, "file", nullptr, 0));
  ::stat("file", &st);
  is("mtime is now", is_now(st.st_mtim));
  tell("through a link", ::utimensat(AT_FDCWD, "link", settings[0].times, 0));
  show_times("file");
  tell("by a descriptor", ::futimens(File("file", O_RDONLY), settings[1].times));
  show_times("file");
  tell("of nothing", ::utimensat(AT_FDCWD, "nothing", nullptr, 0));

  // What changes mtime, and what does not.
  auto watch = [](const char* path, const char* what, auto f) {
    timespec old[2] = {{1, 1}, {1, 1}};
    ::utimensat(AT_FDCWD, path, old, 0);
    f();
    struct stat now;
    ::stat(path, &now);
    say("%s changes mtime of %s: %s", what, path, now.st_mtim.tv_sec == 1 ? "no" : is_now(now.st_mtim) ? "yes" : "WRONG");
  };
  watch("file", "write", [] { ::write(File("file", O_WRONLY), "x", 1); });
  watch("file", "write of nothing", [] { ::write(File("file", O_WRONLY), "x", 0); });
  watch("file", "open with O_TRUNC", [] { File("file", O_WRONLY | O_TRUNC); });
  watch("file", "open with O_TRUNC of an empty file", [] { File("file", O_WRONLY | O_TRUNC); });
  watch("file", "truncate", [] { ::truncate("file", 100); });
  // Not to 0, where FUSE does not tell it from O_TRUNC.
  watch("file", "truncate to the same size", [] { ::truncate("file", 100); });
  watch("file", "ftruncate to the same size", [] { ::ftruncate(File("file", O_WRONLY), 100); });
  watch("file", "fallocate", [] { ::fallocate(File("file", O_WRONLY), 0, 0, 10000); });
  watch("file", "chmod", [] { ::chmod("file", 0600); });
  watch("file", "rename", [] { ::rename("file", "file-2") == 0 ? ::rename("file-2", "file") : -1; });
  watch("file", "link", [] { ::link("file", "linked"); });
  watch("file", "setxattr", [] { ::setxattr("file", "user.a", "1", 1, 0); });
  watch("file", "read", [] { content_of("file"); });
  watch("dir", "create", [] { make_file("dir/a"); });
  watch("dir", "write below", [] { make_file("dir/a", "b"); });
  watch("dir", "mkdir", [] { ::mkdir("dir/b", 0755); });
  watch("dir", "create in a directory below", [] { make_file("dir/b/c"); });
  watch("dir", "link", [] { ::link("file", "dir/l"); });
  watch("dir", "unlink", [] { ::unlink("dir/l"); });
  watch("dir", "rename within", [] { ::rename("dir/a", "dir/z"); });
  watch("dir", "rename away", [] { ::rename("dir/z", "z"); });
  watch("dir", "rename to it", [] { ::rename("z", "dir/a"); });
  watch("dir/b", "rename of it", [] { ::rename("dir/b", "dir/c") == 0 ? ::rename("dir/c", "dir/b") : -1; });
  watch("dir", "exchange", [] { ::renameat2(AT_FDCWD, "dir/a", AT_FDCWD, "dir/b", RENAME_EXCHANGE); });
  watch("dir", "a rename that fails", [] { ::rename("dir/nothing", "dir/n"); });
  watch("dir", "O_TMPFILE", [] { File("dir", O_RDWR | O_TMPFILE); });
  watch("dir", "chmod", [] { ::chmod("dir", 0700); });
}

inline void section_statistics() {
  struct statvfs st;
  tell("statvfs", ::statvfs(".", &st));
  say("names of %lu bytes, blocks of %lu, %lu blocks, %lu inodes", st.f_namemax, st.f_frsize,
      static_cast<unsigned long>(st.f_blocks), static_cast<unsigned long>(st.f_files));
  tell("fstatvfs", ::fstatvfs(File(".", O_RDONLY), &st));
  make_file("file", std::string(100'000, 's'));
  ::sync();
  struct stat s;
  ::stat("file", &s);
  say("%lld blocks", static_cast<long long>(s.st_blocks));
  struct statx x;
  tell("statx", ::statx(AT_FDCWD, "file", 0, STATX_ALL, &x));
  is("a time of birth, where the file system has one", !(x.stx_mask & STATX_BTIME) || is_now({x.stx_btime.tv_sec, 0}));
  say("mask %x size %llu links %u", x.stx_mask & STATX_BASIC_STATS, static_cast<unsigned long long>(x.stx_size), x.stx_nlink);
  say("limits %ld %ld", ::pathconf(".", _PC_NAME_MAX), ::pathconf(".", _PC_PATH_MAX));
}

// ---- chattr

inline constexpr int kFlags = FS_APPEND_FL | FS_IMMUTABLE_FL | FS_NODUMP_FL | FS_NOATIME_FL;

// As chattr(1) does it: what else is set stays, since ext4 has flags that say how a file is stored.
inline int set_flags(const char* path, int wanted) {
  File f(path, O_RDONLY | O_NONBLOCK);
  int flags = 0;
  if (f < 0 || ::ioctl(f, FS_IOC_GETFLAGS, &flags) != 0) return -1;
  flags = (flags & ~kFlags) | wanted;
  return ::ioctl(f, FS_IOC_SETFLAGS, &flags);
}

inline long get_flags(const char* path) {
  File f(path, O_RDONLY | O_NONBLOCK);
  int flags = 0;
  if (f < 0 || ::ioctl(f, FS_IOC_GETFLAGS, &flags) != 0) return -1;
  return flags & kFlags;
}

inline void try_on_flagged(const char* file, const char* dir) {
  std::string f = file, d = dir;
  tell("write " + f, ::write(File(file, O_WRONLY), "x", 1));
  tell("append to " + f, ::write(File(file, O_WRONLY | O_APPEND), "x", 1));
  tell("O_TRUNC " + f, File(file, O_WRONLY | O_TRUNC));
  tell("truncate " + f, ::truncate(file, 1));
  tell("chmod " + f, ::chmod(file, 0600));
  tell("chown " + f, ::chown(file, 1, 1));
  timespec then[2] = {{1, 0}, {1, 0}};
  tell("set times of " + f, ::utimensat(AT_FDCWD, file, then, 0));
  tell("touch " + f, ::utimensat(AT_FDCWD, file, nullptr, 0));
  tell("setxattr " + f, ::setxattr(file, "user.a", "1", 1, 0));
  tell("link " + f, ::link(file, "linked"));
  tell("rename " + f, ::rename(file, "renamed"));
  tell("rename over " + f, ::rename("other", file));
  tell("unlink " + f, ::unlink(file));
  tell("create in " + d, File((d + "/new").c_str(), O_WRONLY | O_CREAT));
  tell("write in " + d, ::write(File((d + "/there").c_str(), O_WRONLY), "x", 1));
  tell("rename in " + d, ::rename((d + "/there").c_str(), (d + "/moved").c_str()));
  tell("unlink in " + d, ::unlink((d + "/there").c_str()));
  tell("rmdir " + d, ::rmdir(dir));
  tell("O_TMPFILE in " + d, File(dir, O_RDWR | O_TMPFILE));
}

inline void section_inode_flags() {
  make_file("probe");
  if (!tell("set flags", set_flags("probe", FS_NODUMP_FL))) return;
  count("get flags", get_flags("probe"));
  make_file("other");
  struct {
    const char *file, *dir;
    int flags;
  } kinds[] = {{"immutable", "immutable-dir", FS_IMMUTABLE_FL}, {"append-only", "append-only-dir", FS_APPEND_FL}};
  for (const auto& kind : kinds) {
    make_file(kind.file, "text");
    must("mkdir", ::mkdir(kind.dir, 0755));
    make_file((std::string(kind.dir) + "/there").c_str(), "text");
    tell("set", set_flags(kind.file, kind.flags));
    tell("set", set_flags(kind.dir, kind.flags));
    count("get", get_flags(kind.file));
    try_on_flagged(kind.file, kind.dir);
    show(kind.file);
    show((std::string(kind.dir) + "/there").c_str());
    tell("take away", set_flags(kind.file, 0));
    tell("take away", set_flags(kind.dir, 0));
    tell("write again", ::write(File(kind.file, O_WRONLY), "y", 1));
    tell("set again", set_flags(kind.file, kind.flags | FS_NODUMP_FL));
    tell("set again", set_flags(kind.dir, kind.flags));
  }
  must("chmod", ::chmod(".", 0777));
  as(kAnn, [] {
    make_file("anns");
    tell("nodump by an ordinary user", set_flags("anns", FS_NODUMP_FL));
    tell("immutable by an ordinary user", set_flags("anns", FS_IMMUTABLE_FL));
    tell("nodump of another's", set_flags("probe", 0));
  });
  // Opened before it became append-only or immutable.
  make_file("open-before", "text");
  File f("open-before", O_RDWR);
  tell("set", set_flags("open-before", FS_APPEND_FL));
  tell("ftruncate", ::ftruncate(f, 1));
  tell("set", set_flags("open-before", 0));
  fsxattr attributes{};
  tell("FSGETXATTR", ::ioctl(f, FS_IOC_FSGETXATTR, &attributes));
  int version = 0;
  tell("an ioctl that is none of a file", ::ioctl(f, TCGETS, &version));
}

// ---- programs

inline void section_programs(const char* self) {
  ::umask(022);
  must("chmod", ::chmod(".", 0755));
  std::string image = content_of(self);
  make_file("program", image, 0755);
  auto run = [](const char* path, const char* argument) {
    apart([&] {
      std::fflush(stdout);
      ::execl(path, path, argument, nullptr);
      tell(std::string("exec ") + path, -1);
    });
  };
  run("./program", "--print-ids");
  as(kBob, [&] { run("./program", "--print-ids"); });
  make_file("suid", image, 0755);
  must("chown", ::chown("suid", 1001, 2001));
  must("chmod", ::chmod("suid", 06755));
  as(kBob, [&] { run("./suid", "--print-ids"); });
  make_file("capable", image, 0755);
  vfs_cap_data capability{};
  capability.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  capability.data[0].permitted = 1u << CAP_NET_RAW | 1u << CAP_KILL;
  tell("set a capability", ::setxattr("capable", "security.capability", &capability, XATTR_CAPS_SZ_2, 0));
  as(kBob, [&] { run("./capable", "--print-ids"); });
  make_file("not-executable", image, 0644);
  run("./not-executable", "--print-ids");
  as(kBob, [&] { run("./not-executable", "--print-ids"); });
  make_file("unreadable", image, 0711);
  as(kBob, [&] { run("./unreadable", "--print-ids"); });
  make_file("script", "#!/bin/sh\necho a script of $#\n", 0755);
  run("./script", "x");
  make_file("garbage", "garbage\n", 0755);
  run("./garbage", "x");
  make_file("orphan-script", "#!/nowhere/at/all\n", 0755);
  run("./orphan-script", "x");
  // While it runs nobody writes to it, and while someone writes nobody runs it.
  {
    File w("program", O_WRONLY);
    run("./program", "--print-ids");
  }
  Turns turns;
  int ends[2];
  must("pipe", ::pipe(ends));
  std::fflush(stdout);
  pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[0], 0);
    ::execl("./program", "program", "--wait", nullptr);
    std::_Exit(1);
  }
  char c;
  ::usleep(1000);
  for (int i = 0; i < 2000 && content_of(("/proc/" + std::to_string(child) + "/comm").c_str()) != "program\n"; i++)
    ::usleep(1000);
  tell("write to what runs", File("program", O_WRONLY));
  tell("truncate what runs", ::truncate("program", 0));
  tell("rename over what runs", ::rename("script", "program"));
  ::write(ends[1], "x", 1);
  int status = 1;
  ::waitpid(child, &status, 0);
  is("it ran to its end", status == 0);
  static_cast<void>(c);
  run("./program", "x");
}

// ---- being told

inline void section_notifications() {
  must("mkdir", ::mkdir("dir", 0755));
  int watcher = ::inotify_init1(IN_NONBLOCK);
  tell("watch", ::inotify_add_watch(watcher, "dir", IN_ALL_EVENTS & ~(IN_ACCESS | IN_OPEN)));
  make_file("dir/a", "text");
  ::rename("dir/a", "dir/b");
  ::link("dir/b", "dir/c");
  ::truncate("dir/b", 2);
  ::unlink("dir/b");
  ::mkdir("dir/sub", 0755);
  ::rmdir("dir/sub");
  ::chmod("dir/c", 0600);
  ::setxattr("dir/c", "user.a", "1", 1, 0);
  alignas(inotify_event) char buffer[8192];
  ssize_t size = ::read(watcher, buffer, sizeof buffer);
  for (ssize_t at = 0; at < size;) {
    const auto* e = reinterpret_cast<const inotify_event*>(buffer + at);
    say("event %08x %s", e->mask, e->len > 0 ? e->name : "");
    at += static_cast<ssize_t>(sizeof *e + e->len);
  }
  ::close(watcher);
}

}  // namespace tfs::support
