// Names: what may be one, what links, renames and removals do, directories that change or go away while they are in use.
#pragma once

#include <dirent.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <map>

#include "tests/support/semantics.h"

namespace tfs::support {

inline void section_names() {
  // Every byte, alone and in company.
  int made = 0;
  for (int c = 1; c < 256; c++) {
    if (c == '/') continue;
    std::string name = std::string("byte-") + static_cast<char>(c) + "-";
    if (File(name.c_str(), O_WRONLY | O_CREAT) >= 0) made++;
    name = std::string(1, static_cast<char>(c));
    if (c != '.' && ::mkdir(name.c_str(), 0755) == 0) made++;
  }
  say("%d names", made);
  std::string longest(255, 'n'), too_long(256, 'n');
  tell("255 bytes", File(longest.c_str(), O_WRONLY | O_CREAT));
  tell("256 bytes", File(too_long.c_str(), O_WRONLY | O_CREAT));
  tell("mkdir of 256 bytes", ::mkdir(too_long.c_str(), 0755));
  tell("stat of 256 bytes", ::access(too_long.c_str(), F_OK));
  tell("rename to 256 bytes", ::rename(longest.c_str(), too_long.c_str()));
  tell("link to 256 bytes", ::link(longest.c_str(), too_long.c_str()));
  tell("255 other bytes", ::rename(longest.c_str(), std::string(255, '\xff').c_str()));
  tell("mkdir .", ::mkdir(".", 0755));
  tell("mkdir ..", ::mkdir("..", 0755));
  tell("rmdir .", ::rmdir("."));
  tell("unlink .", ::unlink("."));
  tell("mkdir with a slash", ::mkdir("slash///", 0755));
  tell("rmdir with slash and dot", ::rmdir("slash/."));
  tell("rmdir with a slash", ::rmdir("slash/"));
  tell("rename to .", ::rename("byte-a-", "."));
  std::string target(4095, 't');
  tell("a target of 4095 bytes", ::symlink(target.c_str(), "long-link"));
  target += "t";
  tell("a target of 4096 bytes", ::symlink(target.c_str(), "longer-link"));
  tell("no target", ::symlink("", "empty-link"));
  char buffer[5000];
  count("readlink", ::readlink("long-link", buffer, sizeof buffer));
  count("readlink into little", ::readlink("long-link", buffer, 10));
  tell("readlink of a file", ::readlink("byte-a-", buffer, 10));
  show("long-link");
  for (int i = 0; i < 41; i++) {
    ::symlink(i == 0 ? "byte-a-" : ("chain-" + std::to_string(i - 1)).c_str(), ("chain-" + std::to_string(i)).c_str());
  }
  tell("a chain of 40 links", File("chain-39", O_RDONLY));
  tell("a chain of 41 links", File("chain-40", O_RDONLY));
}

// Deeper than PATH_MAX: only relative calls get there.
inline void section_depth() {
  constexpr int kDepth = 120;
  std::string part(50, 'd');
  int dir = ::open(".", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < kDepth; i++) {
    must("mkdirat", ::mkdirat(dir, part.c_str(), 0755));
    int next = ::openat(dir, part.c_str(), O_RDONLY | O_DIRECTORY);
    must("openat", next);
    ::close(dir);
    dir = next;
  }
  int fd = ::openat(dir, "file", O_RDWR | O_CREAT, 0644);
  count("write at the bottom", ::write(fd, "deep", 4));
  tell("rename there", ::renameat(dir, "file", dir, "moved"));
  tell("link there", ::linkat(dir, "moved", dir, "linked", 0));
  tell("link to the bottom", ::linkat(dir, "moved", AT_FDCWD, "at-the-top", 0));
  tell("symlink there", ::symlinkat("nowhere", dir, "symlink"));
  tell("mkfifo there", ::mkfifoat(dir, "fifo", 0644));
  tell("chmod there", ::fchmodat(dir, "moved", 0600, 0));
  tell("set an attribute there", ::fsetxattr(fd, "user.deep", "1", 1, 0));
  tell("unlink there", ::unlinkat(dir, "linked", 0));
  tell("fsync there", ::fsync(dir));
  ::write(fd, "er", 2);
  ::close(fd);
  // The whole of it moves.
  must("mkdir", ::mkdir("above", 0755));
  tell("rename of the top", ::rename(part.c_str(), ("above/" + part).c_str()));
  fd = ::openat(dir, "moved", O_WRONLY | O_APPEND);
  count("write after it", ::write(fd, "est", 3));
  ::close(fd);
  ::close(dir);
  say("%s", content_of("at-the-top").c_str());
  std::string path(4097, 'p');
  tell("a path that is too long", ::access(path.c_str(), F_OK));
}

inline void section_links() {
  make_file("file", "text");
  tell("link", ::link("file", "second"));
  tell("link into a directory", ::mkdir("dir", 0755) == 0 ? ::link("file", "dir/third") : -1);
  show("dir/third");
  struct stat a, b;
  ::stat("file", &a);
  ::stat("dir/third", &b);
  is("one inode", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
  File f("second", O_WRONLY);
  ::write(f, "TEXT2", 5);
  say("%s", content_of("dir/third").c_str());
  ::chmod("file", 0600);
  show("second");
  tell("link over", ::link("file", "second"));
  tell("link of a directory", ::link("dir", "dir-2"));
  tell("link of nothing", ::link("nothing", "second-2"));
  ::symlink("file", "symlink");
  tell("link of a symbolic link", ::link("symlink", "symlink-2"));
  tell("link of its target", ::linkat(AT_FDCWD, "symlink", AT_FDCWD, "fourth", AT_SYMLINK_FOLLOW));
  show("symlink");
  show("fourth");
  ::mkfifo("fifo", 0644);
  tell("link of a FIFO", ::link("fifo", "fifo-2"));
  tell("unlink", ::unlink("file"));
  tell("unlink a directory", ::unlink("dir"));
  tell("rmdir a file", ::rmdir("second"));
  tell("rmdir what is not empty", ::rmdir("dir"));
  tell("unlink nothing", ::unlink("nothing"));
  show("second");
  ::stat("second", &a);
  is("still one inode", a.st_ino == b.st_ino);
}

inline void section_renames() {
  auto rename2 = [](const char* from, const char* to, unsigned flags) {
    return ::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
  };
  auto fresh = [] {
    for (const auto& entry : std::filesystem::directory_iterator(".")) std::filesystem::remove_all(entry.path());
    make_file("a", "aaa");
    make_file("b", "bb");
    ::link("a", "h");
    ::symlink("a", "l");
    ::mkdir("d", 0755);
    make_file("d/x", "x");
    ::mkdir("e", 0755);
  };
  auto show_all = [] {
    for (const char* name : {"a", "b", "n", "h", "l", "d", "d/x", "e", "e/x"}) show(name);
  };
  struct {
    const char *from, *to;
  } pairs[] = {{"a", "b"}, {"a", "n"}, {"a", "h"},  {"a", "a"},   {"a", "l"},   {"l", "a"},  {"a", "d"},     {"d", "a"},
               {"d", "e"}, {"e", "d"}, {"d", "n"},  {"d", "d/n"}, {"d/x", "d"}, {"x", "n"},  {"d/x", "e/x"}, {"a", "none/n"},
               {"d", "l"}, {"l", "d"}, {"a/", "n"}, {"d/", "n"},  {"a", "n/"},  {"d", "n/"}, {"d/x", "e"},   {"e", "d/x"}};
  for (unsigned flags : {0u, static_cast<unsigned>(RENAME_NOREPLACE), static_cast<unsigned>(RENAME_EXCHANGE),
                         static_cast<unsigned>(RENAME_WHITEOUT)}) {
    for (const auto& pair : pairs) {
      fresh();
      std::string what = std::string("rename ") + pair.from + " to " + pair.to + " with flags " + std::to_string(flags);
      if (tell(what, rename2(pair.from, pair.to, flags))) show_all();
    }
  }
  fresh();
  tell("NOREPLACE and EXCHANGE", rename2("a", "b", RENAME_NOREPLACE | RENAME_EXCHANGE));
  tell("WHITEOUT and EXCHANGE", rename2("a", "b", RENAME_WHITEOUT | RENAME_EXCHANGE));
  tell("WHITEOUT and NOREPLACE", rename2("a", "n", RENAME_WHITEOUT | RENAME_NOREPLACE));
  show_all();
  tell("unknown flags", rename2("b", "c", 64));
  tell("exchange with an ancestor", rename2("d/x", "d", RENAME_EXCHANGE));
  ::mkdir("d/sub", 0755);
  tell("exchange with a descendant", rename2("d", "d/sub", RENAME_EXCHANGE));
  // As an ordinary user.
  must("chmod", ::chmod(".", 0777));
  ::unlink("a");
  as(kAnn, [&] {
    make_file("anns", "text");
    tell("a whiteout by an ordinary user", rename2("anns", "anns-2", RENAME_WHITEOUT));
    show("anns");
    show("anns-2");
    ::mkdir("anns-dir", 0755);
    tell("a directory into another's", ::rename("anns-dir", "d/anns-dir"));
  });
  // A directory's ".." follows.
  ::mkdir("moved", 0755);
  ::rename("d/sub", "moved/sub");
  struct stat up, there;
  ::stat("moved/sub/..", &up);
  ::stat("moved", &there);
  is("the parent is the new one", up.st_ino == there.st_ino);
}

// ---- directories in use

inline std::map<std::string, int> list_dir(int fd) {
  std::map<std::string, int> seen;
  DIR* dir = ::fdopendir(::dup(fd));
  ::rewinddir(dir);
  while (const dirent* e = ::readdir(dir)) seen[e->d_name]++;
  ::closedir(dir);
  return seen;
}

// What is there all the time is seen exactly once, whatever else comes and goes meanwhile.
inline void section_changing_directory() {
  constexpr int kNames = 3000;
  must("mkdir", ::mkdir("dir", 0755));
  auto name_of = [](int i) { return "dir/a-name-of-some-length-" + std::to_string(i); };
  for (int i = 0; i < kNames; i++) must("create", File(name_of(i).c_str(), O_WRONLY | O_CREAT));
  File dir_fd("dir", O_RDONLY | O_DIRECTORY);
  is("all are listed once", list_dir(dir_fd).size() == kNames + 2);

  DIR* dir = ::opendir("dir");
  std::map<std::string, int> seen;
  auto read_some = [&](int n) {
    for (const dirent* e; n-- > 0 && (e = ::readdir(dir)) != nullptr;) seen[e->d_name]++;
  };
  read_some(700);
  for (int i = 0; i < kNames; i += 3) ::unlink(name_of(i).c_str());
  for (int i = 0; i < 500; i++) File((name_of(i) + ".new").c_str(), O_WRONLY | O_CREAT);
  read_some(700);
  for (int i = 1; i < kNames; i += 30) ::rename(name_of(i).c_str(), (name_of(i) + ".moved").c_str());
  for (int i = 1; i < kNames; i += 30) ::rename((name_of(i) + ".moved").c_str(), name_of(i).c_str());
  read_some(1 << 20);
  int missed = 0, doubled = 0;
  for (int i = 0; i < kNames; i++) {
    if (i % 3 == 0 || i % 30 == 1) continue;
    int times = seen[name_of(i).substr(4)];
    if (times == 0) missed++;
    if (times > 1) doubled++;
  }
  say("missed %d, seen twice %d", missed, doubled);
  ::rewinddir(dir);
  int now = 0;
  while (::readdir(dir) != nullptr) now++;
  say("from the beginning again: %d", now);
  // A place to come back to.
  ::rewinddir(dir);
  for (int i = 0; i < 1000; i++) (void)::readdir(dir);
  long place = ::telldir(dir);
  std::string next = ::readdir(dir)->d_name;
  for (int i = 0; i < 500; i++) (void)::readdir(dir);
  ::seekdir(dir, place);
  is("seekdir leads back", next == ::readdir(dir)->d_name);
  ::closedir(dir);
  // Removing all while listing: what `rm -r` does.
  dir = ::opendir("dir");
  int removed = 0;
  while (const dirent* e = ::readdir(dir)) {
    if (e->d_name[0] != '.' && ::unlinkat(::dirfd(dir), e->d_name, 0) == 0) removed++;
  }
  ::closedir(dir);
  say("removed %d", removed);
  tell("rmdir", ::rmdir("dir"));
}

inline void section_removed_directory() {
  must("mkdir", ::mkdir("dir", 0755));
  must("mkdir", ::mkdir("dir/sub", 0755));
  apart([] {
    must("chdir", ::chdir("dir/sub"));
    tell("rmdir of my own directory", ::rmdir("../sub"));
    char path[PATH_MAX];
    tell("getcwd", ::getcwd(path, sizeof path) == nullptr ? -1 : 0);
    struct stat st;
    tell("stat .", ::stat(".", &st));
    say("links %lu", static_cast<unsigned long>(st.st_nlink));
    tell("stat ..", ::stat("..", &st));
    File dot(".", O_RDONLY | O_DIRECTORY);
    tell("open .", dot);
    if (dot >= 0) say("%zu entries", list_dir(dot).size());
    tell("create", File("new", O_WRONLY | O_CREAT));
    tell("mkdir", ::mkdir("new", 0755));
    tell("symlink", ::symlink("a", "new"));
    tell("mkfifo", ::mkfifo("new", 0644));
    tell("O_TMPFILE", File(".", O_RDWR | O_TMPFILE));
    tell("stat of a name", ::stat("name", &st));
    tell("unlink", ::unlink("name"));
    tell("rename into it", ::rename("../../dir", "dir"));
    tell("chmod", ::chmod(".", 0700));
    tell("utimensat", ::utimensat(AT_FDCWD, ".", nullptr, 0));
    tell("setxattr", ::setxattr(".", "user.a", "1", 1, 0));
    tell("chdir ..", ::chdir(".."));
    tell("create there", File("new", O_WRONLY | O_CREAT));
  });
  show("dir");
  show("dir/new");
  // Replaced by a rename, and another made under the name.
  must("mkdir", ::mkdir("old", 0755));
  must("mkdir", ::mkdir("young", 0755));
  File old("old", O_RDONLY | O_DIRECTORY);
  tell("rename over an open directory", ::rename("young", "old"));
  tell("create in the replaced one", ::openat(old, "new", O_WRONLY | O_CREAT, 0644));
  tell("create in the new one", File("old/new", O_WRONLY | O_CREAT));
  is("it is another", list_dir(old).count("new") == 0);
}

inline void section_path_handles() {
  make_file("file", "text");
  must("mkdir", ::mkdir("dir", 0755));
  ::symlink("target", "link");
  ::mkfifo("fifo", 0644);
  for (const char* name : {"file", "dir", "link", "fifo"}) {
    File p(name, O_PATH | O_NOFOLLOW);
    std::string n = name;
    must("remove", ::unlinkat(AT_FDCWD, name, n == "dir" ? AT_REMOVEDIR : 0));
    struct stat st;
    if (tell("fstat of a removed " + n, ::fstat(p, &st))) {
      say("%06o links %lu", st.st_mode, n == "dir" ? 0 : static_cast<unsigned long>(st.st_nlink));
    }
    if (n == "link") {
      char target[100];
      count("readlinkat", ::readlinkat(p, "", target, sizeof target));
      continue;
    }
    tell("chmod through /proc", ::chmod(magic_link(p).c_str(), 0600));
    tell("utimensat", ::utimensat(p, "", nullptr, AT_EMPTY_PATH));
    if (n != "fifo") {
      File again(magic_link(p).c_str(), O_RDONLY);
      tell("open through /proc", again);
      char text[5] = {};
      if (n == "file") {
        count("read", ::read(again, text, 4));
        say("%s", text);
      }
    }
    tell("link it", ::linkat(p, "", AT_FDCWD, "again", AT_EMPTY_PATH));
    tell("fchdir", ::fchdir(p) == 0 ? ::chdir("..") : -1);
    must("come back", ::chdir(std::getenv("SEMANTICS_DIR")));
    must("come back", ::chdir("path-handles"));
  }
  // One that is alive, through which a file is opened in several ways.
  make_file("alive", "text");
  File p("alive", O_PATH);
  ::rename("alive", "moved");
  tell("write through /proc", ::write(File(magic_link(p).c_str(), O_WRONLY | O_APPEND), "!", 1));
  tell("truncate through /proc", ::truncate(magic_link(p).c_str(), 2));
  show("moved");
}

// ---- special files

inline void section_special_files() {
  must("mkfifo", ::mkfifo("fifo", 0666));
  Turns turns;
  std::fflush(stdout);
  pid_t child = ::fork();
  if (child == 0) {
    File w("fifo", O_WRONLY);
    ::write(w, "through the fifo", 16);
    turns.wait();
    ::signal(SIGPIPE, SIG_IGN);
    bool is_broken = ::write(w, "x", 1) < 0 && errno == EPIPE;
    std::_Exit(is_broken ? 0 : 1);
  }
  {
    File r("fifo", O_RDONLY);
    char text[20] = {};
    count("read from a FIFO", ::read(r, text, sizeof text));
    say("%s", text);
    pollfd p{r, POLLIN, 0};
    count("poll", ::poll(&p, 1, 0));
  }
  turns.give();
  int status = 1;
  ::waitpid(child, &status, 0);
  is("a FIFO without readers breaks", status == 0);
  show("fifo");
  tell("chmod a FIFO", ::chmod("fifo", 0600));
  tell("chown a FIFO", ::chown("fifo", 3, 4));
  tell("trusted. on a FIFO", ::setxattr("fifo", "trusted.a", "1", 1, 0));
  tell("user. on a FIFO", ::setxattr("fifo", "user.a", "1", 1, 0));
  show("fifo");
  tell("truncate a FIFO", ::truncate("fifo", 0));

  int server = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "socket");
  auto* a = reinterpret_cast<sockaddr*>(&address);
  tell("bind", ::bind(server, a, sizeof address));
  ::chmod("socket", 0777);
  show("socket");
  tell("bind again", ::bind(::socket(AF_UNIX, SOCK_STREAM, 0), a, sizeof address));
  tell("listen", ::listen(server, 1));
  as(kAnn, [&] {
    int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
    tell("connect", ::connect(client, a, sizeof address));
    count("send", ::write(client, "hello", 5));
  });
  int peer = ::accept(server, nullptr, nullptr);
  char text[10] = {};
  count("receive", ::read(peer, text, sizeof text));
  say("%s", text);
  ::rename("socket", "socket-2");
  std::strcpy(address.sun_path, "socket-2");
  tell("connect by its new name", ::connect(::socket(AF_UNIX, SOCK_STREAM, 0), a, sizeof address));
  ::close(server);
  tell("connect where nobody listens", ::connect(::socket(AF_UNIX, SOCK_STREAM, 0), a, sizeof address));
  tell("open a socket", File("socket-2", O_RDONLY));

  struct {
    const char* name;
    mode_t mode;
    dev_t dev;
  } devices[] = {{"null", S_IFCHR | 0666, makedev(1, 3)},    {"zero", S_IFCHR | 0666, makedev(1, 5)},
                 {"full", S_IFCHR | 0666, makedev(1, 7)},    {"nothing", S_IFCHR | 0666, makedev(250, 4000)},
                 {"block", S_IFBLK | 0660, makedev(250, 5)}, {"large", S_IFCHR | 0600, makedev(4095, 1048575)},
                 {"whiteout", S_IFCHR | 0, makedev(0, 0)}};
  for (const auto& device : devices) {
    tell(std::string("mknod ") + device.name, ::mknod(device.name, device.mode, device.dev));
    show(device.name);
    if (device.name == std::string_view("large")) continue;
    File f(device.name, O_RDWR);
    if (!tell("open", f)) continue;
    count("write", ::write(f, "x", 1));
    count("read", ::read(f, text, 1));
  }
  tell("mknod of a directory", ::mknod("dir", S_IFDIR | 0755, 0));
  tell("mknod of nothing known", ::mknod("odd", 0170000, 0));
}

}  // namespace tfs::support
