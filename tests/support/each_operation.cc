// each_operation DIR: does each thing that a journal has a record for, in each of its ways, in the empty directory DIR, as root.
// Always the same, so that the journal of a mount is a short one that has it all. What a file system does not offer (inode
// flags, whiteouts) is left out.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

// With the line of the call that went wrong.
long must(long result, int where) {
  if (result >= 0) return result;
  std::fprintf(stderr, "each_operation: line %d: %s\n", where, std::strerror(errno));
  std::exit(1);
}
#define MUST(call) must((call), __LINE__)

// What not every file system can.
bool may(long result) {
  if (result >= 0) return true;
  if (errno == EOPNOTSUPP || errno == ENOTTY || errno == EINVAL || errno == ENOSYS) return false;
  MUST(result);
  return false;
}

int create(const char* name, const std::string& content, mode_t mode = 0644) {
  int fd = static_cast<int>(MUST(::open(name, O_RDWR | O_CREAT | O_EXCL, mode)));
  if (!content.empty()) MUST(::write(fd, content.data(), content.size()));
  return fd;
}

void make(const char* name, const std::string& content, mode_t mode = 0644) { MUST(::close(create(name, content, mode))); }

void link_descriptor(int fd, const char* name) {
  std::string self = "/proc/self/fd/" + std::to_string(fd);
  MUST(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW));
}

void set_inode_flags(const char* name, int flags, bool adds) {
  int fd = static_cast<int>(MUST(::open(name, O_RDONLY)));
  int now = 0;
  if (may(::ioctl(fd, FS_IOC_GETFLAGS, &now))) {
    now = adds ? now | flags : now & ~flags;
    may(::ioctl(fd, FS_IOC_SETFLAGS, &now));
  }
  MUST(::close(fd));
}

// In its binary form: user::rwx, user:33:rw-, group::r-x, mask::rwx, other::---
constexpr unsigned char acl[] = {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,   6,  0, 33, 0, 0,   0,   4,   0,
                                 5, 0, 255, 255, 255, 255, 16, 0, 7,   0,   255, 255, 255, 255, 32, 0, 0,  0, 255, 255, 255, 255};

void objects() {
  MUST(::mkdir("d", 0755));
  MUST(::mkdir("d/e", 02775));
  make("d/file", "content\n");
  make("mode 0", "closed", 0);
  make("d/new\nline \\ \377", "odd");
  MUST(::mkfifo("fifo", 0600));
  MUST(::mknod("socket", S_IFSOCK | 0600, 0));
  MUST(::mknod("char", S_IFCHR | 0640, makedev(250, 7)));
  MUST(::mknod("block", S_IFBLK | 0640, makedev(250, 300)));
  MUST(::symlink("d/file", "symlink"));
  MUST(::symlink("/no/where", "d/dangling"));
}

void names() {
  MUST(::link("d/file", "d/e/hard"));
  MUST(::link("symlink", "symlink 2"));
  MUST(::rename("d/file", "d/moved"));
  make("over", "gone");
  MUST(::rename("d/moved", "over"));
  MUST(::renameat2(AT_FDCWD, "over", AT_FDCWD, "d/again", RENAME_NOREPLACE));
  MUST(::renameat2(AT_FDCWD, "fifo", AT_FDCWD, "d/again", RENAME_EXCHANGE));
  may(::renameat2(AT_FDCWD, "d/again", AT_FDCWD, "whited", RENAME_WHITEOUT));
  MUST(::mkdir("f", 0700));
  MUST(::mkdir("f/g", 0700));
  make("f/g/h", "deep");
  MUST(::rename("f", "d/f"));
  make("d/f/g/i", "deep, too");
  MUST(::mkdir("empty", 0700));
  MUST(::mkdir("empty 2", 0711));
  MUST(::rename("empty", "empty 2"));
  MUST(::rmdir("empty 2"));
  make("short-lived", "x");
  MUST(::unlink("short-lived"));
}

void nameless() {
  int fd = static_cast<int>(MUST(::open(".", O_TMPFILE | O_RDWR, 0600)));
  MUST(::write(fd, "temporary", 9));
  MUST(::close(fd));
  fd = static_cast<int>(MUST(::open("d", O_TMPFILE | O_RDWR, 0640)));
  MUST(::write(fd, "linked later", 12));
  link_descriptor(fd, "d/later");
  MUST(::pwrite(fd, "L", 1, 0));
  MUST(::close(fd));

  fd = create("held", "held");
  MUST(::unlink("held"));
  MUST(::pwrite(fd, "on", 2, 2));
  MUST(::fchmod(fd, 0604));
  MUST(::fchown(fd, 5, 6));
  MUST(::fsetxattr(fd, "user.held", "1", 1, 0));
  MUST(::ftruncate(fd, 100));
  MUST(::close(fd));

  fd = create("two names", "two");
  MUST(::link("two names", "second"));
  MUST(::rename("second", "two names"));  // the same file: nothing happens
  MUST(::unlink("two names"));
  MUST(::pwrite(fd, "T", 1, 0));
  MUST(::unlink("second"));
  MUST(::pwrite(fd, "W", 1, 1));
  MUST(::close(fd));

  fd = create("replaced", "old");
  make("replacing", "new");
  MUST(::rename("replacing", "replaced"));
  MUST(::pwrite(fd, "older", 5, 0));
  MUST(::close(fd));
}

void content() {
  int fd = create("data", std::string(5000, 'x'));
  MUST(::pwrite(fd, "middle", 6, 9000));
  MUST(::pwrite(fd, "beyond", 6, 100000));
  MUST(::ftruncate(fd, 90001));
  MUST(::ftruncate(fd, 120000));
  MUST(::fallocate(fd, 0, 130000, 5000));
  MUST(::fallocate(fd, FALLOC_FL_KEEP_SIZE, 140000, 5000));
  MUST(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
  may(::fallocate(fd, FALLOC_FL_ZERO_RANGE, 16384, 1000));
  MUST(::fsync(fd));
  MUST(::fdatasync(fd));
  int to = create("copy", "");
  off_t from = 9000, at = 50;
  MUST(::copy_file_range(fd, &from, to, &at, 3000, 0));
  from = 0, at = 100000;
  MUST(::copy_file_range(fd, &from, fd, &at, 4000, 0));
  MUST(::close(to));
  MUST(::close(fd));
  fd = static_cast<int>(MUST(::open("copy", O_WRONLY | O_APPEND)));
  MUST(::write(fd, "appended", 8));
  MUST(::close(fd));
  fd = static_cast<int>(MUST(::open("copy", O_WRONLY | O_TRUNC)));
  MUST(::write(fd, "after", 5));
  MUST(::close(fd));
}

void attributes() {
  MUST(::chmod("copy", 06755));
  MUST(::chown("copy", 1000, 1001));  // takes the bits
  MUST(::chmod("copy", 04755));
  MUST(::chmod("d/e", 01777));
  MUST(::lchown("symlink", 7, 8));
  timespec times[] = {{1000, 1}, {1'000'000'000, 123456789}};
  MUST(::utimensat(AT_FDCWD, "copy", times, 0));
  times[1] = {-1, 5};
  MUST(::utimensat(AT_FDCWD, "symlink", times, AT_SYMLINK_NOFOLLOW));
  MUST(::utimensat(AT_FDCWD, "d/e", times, 0));
  MUST(::setxattr("copy", "user.a", "value", 5, 0));
  MUST(::setxattr("copy", "user.a", "", 0, XATTR_REPLACE));
  MUST(::setxattr("copy", "user.b", std::string(300, 'b').data(), 300, XATTR_CREATE));
  MUST(::setxattr("d", "trusted.t", "t", 1, 0));
  MUST(::removexattr("copy", "user.a"));
  if (may(::setxattr("copy", "system.posix_acl_access", acl, sizeof acl, 0))) {
    MUST(::setxattr("d/e", "system.posix_acl_default", acl, sizeof acl, 0));
    make("d/e/inherits", "acl", 0666);
    MUST(::mkdir("d/e/inherits, too", 0777));
    MUST(::removexattr("copy", "system.posix_acl_access"));
  }
}

void inode_flags() {
  make("appends", "one ", 0644);
  MUST(::mkdir("grows", 0755));
  set_inode_flags("appends", FS_APPEND_FL | FS_NODUMP_FL, true);
  set_inode_flags("grows", FS_APPEND_FL, true);
  int fd = static_cast<int>(MUST(::open("appends", O_WRONLY | O_APPEND)));
  MUST(::write(fd, "two", 3));
  MUST(::close(fd));
  make("grows/more", "x");
  make("fixed", "x");
  fd = static_cast<int>(MUST(::open("fixed", O_WRONLY)));
  set_inode_flags("fixed", FS_IMMUTABLE_FL, true);
  MUST(::write(fd, "y", 1));  // it was open before
  MUST(::close(fd));
  set_inode_flags("fixed", FS_IMMUTABLE_FL, false);
  set_inode_flags("grows", FS_APPEND_FL, false);
  MUST(::unlink("fixed"));
}

// What a mirror applies together, in more directories than it leaves without their mtimes meanwhile.
void births() {
  timespec times[] = {{1000, 1}, {1'200'000'000, 333}};
  auto path_of = [](int n) { return "births/" + std::string(n % 3 == 2 ? "0/" : "") + std::to_string(n); };
  MUST(::mkdir("births", 0755));
  for (int n = 0; n < 36; n++) {
    std::string path = path_of(n);
    MUST(::mkdir(path.c_str(), 0700));
    if (n % 4 == 0) MUST(::symlink("target", (path + "/symlink").c_str()));
    make((path + "/file").c_str(), "content");
    if (n % 5 == 1) make((path + "/other").c_str(), "", 0600);
    if (n % 8 == 0) MUST(::lchown((path + "/symlink").c_str(), 3, 4));
  }
  for (int n = 35; n >= 0; n--) {
    std::string path = path_of(n);
    if (n % 2 == 0) MUST(::chmod(path.c_str(), 0755));
    if (n % 4 < 2) MUST(::utimensat(AT_FDCWD, path.c_str(), times, 0));
    if (n % 6 == 1) make((path + "/late").c_str(), "later");
  }
  // The group of a new file comes from its directory, or from who makes it.
  MUST(::mkdir("births/group", 0755));
  MUST(::chown("births/group", 0, 5));
  MUST(::chmod("births/group", 02755));
  make("births/group/of directory", "");
  MUST(::mkdir("births/group/inherits", 0755));
  MUST(::chmod("births/group", 0755));
  MUST(::setegid(5));
  make("births/group/of maker", "");
  MUST(::mkdir("births/group/too", 0755));
  MUST(::setegid(0));
  make("births/group/of root", "");
  // An attribute may change the mode that was given.
  MUST(::mkdir("births/acl", 0750));
  if (may(::setxattr("births/acl", "system.posix_acl_access", acl, sizeof acl, 0))) {
    MUST(::removexattr("births/acl", "system.posix_acl_access"));
  }
  MUST(::chmod("births/acl", 0750));
}

// Root goes into all; an ordinary user's mirror has to open to itself what is closed to its owner.
void closed() {
  MUST(::mkdir("closed", 0755));
  MUST(::mkdir("closed/too", 0755));
  MUST(::mkdir("closed/too/dir", 0755));
  make("closed/too/file", "content");
  MUST(::chmod("closed/too/dir", 0100));
  MUST(::chmod("closed/too", 0));
  MUST(::chmod("closed", 0500));
  make("closed/too/dir/born", "inside", 0);
  int fd = static_cast<int>(MUST(::open("closed/too/dir/born", O_WRONLY)));
  MUST(::pwrite(fd, "I", 1, 0));
  MUST(::close(fd));
  MUST(::setxattr("closed/too/dir/born", "user.c", "closed", 6, 0));
  MUST(::removexattr("closed/too/dir/born", "user.c"));
  MUST(::truncate("closed/too/file", 3));
  MUST(::link("closed/too/file", "closed/too/dir/linked"));
  MUST(::rename("closed/too/file", "closed/too/moved"));
  MUST(::symlink("moved", "closed/too/symlink"));
  MUST(::mkdir("closed/too/moves", 0));
  MUST(::rename("closed/too/moves", "closed/too/dir/moves"));  // its own ".." changes
  MUST(::renameat2(AT_FDCWD, "closed/too/dir", AT_FDCWD, "closed/too/moved", RENAME_EXCHANGE));
  MUST(::rmdir("closed/too/moved/moves"));
  MUST(::unlink("closed/too/symlink"));
  MUST(::chmod("closed/too/moved", 0));
  MUST(::rename("closed/too", "closed/renamed"));
  timespec times[] = {{1000, 1}, {1'100'000'000, 987654321}};
  MUST(::utimensat(AT_FDCWD, "closed/renamed/moved/linked", times, 0));
  MUST(::chmod("closed/renamed/moved/linked", 04711));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: each_operation DIR\n");
    return 2;
  }
  MUST(::chdir(argv[1]));
  ::umask(0);
  objects();
  names();
  nameless();
  content();
  attributes();
  inode_flags();
  births();
  closed();
  return 0;
}
