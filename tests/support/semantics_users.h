// Who may do what, and what becomes of owners, groups, modes and ACLs.
#pragma once

#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cstdint>

#include "tests/support/semantics.h"

namespace tfs::support {

// An ACL in its extended attribute's form.
class Acl {
 public:
  enum Tag : uint16_t { kOwner = 1, kUser = 2, kOwningGroup = 4, kGroup = 8, kMask = 16, kOther = 32 };
  Acl& add(Tag tag, uint16_t bits, uint32_t id = UINT32_MAX) {
    put(tag);
    put(bits);
    put(id);
    return *this;
  }
  int set(const char* path, const char* kind) const { return ::setxattr(path, kind, bytes_.data(), bytes_.size(), 0); }

 private:
  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  std::string bytes_ = std::string("\2\0\0\0", 4);
};

inline constexpr char kAccessAcl[] = "system.posix_acl_access";
inline constexpr char kDefaultAcl[] = "system.posix_acl_default";

inline Acl plain_acl(uint16_t user_bits, uint16_t mask) {
  return Acl()
      .add(Acl::kOwner, 7)
      .add(Acl::kUser, user_bits, kBob.uid)
      .add(Acl::kOwningGroup, 5)
      .add(Acl::kGroup, 6, 2000)
      .add(Acl::kMask, mask)
      .add(Acl::kOther, 0);
}

inline void try_all(const char* dir) {
  std::string d = dir;
  tell("list " + d, File(dir, O_RDONLY | O_DIRECTORY));
  tell("search " + d, ::access((d + "/there").c_str(), F_OK));
  tell("read " + d, File((d + "/there").c_str(), O_RDONLY));
  tell("write " + d, File((d + "/there").c_str(), O_WRONLY));
  tell("create in " + d, File((d + "/new").c_str(), O_WRONLY | O_CREAT | O_EXCL));
  tell("mkdir in " + d, ::mkdir((d + "/newdir").c_str(), 0777));
  tell("symlink in " + d, ::symlink("there", (d + "/newlink").c_str()));
  tell("link in " + d, ::link((d + "/there").c_str(), (d + "/second").c_str()));
  tell("rename in " + d, ::rename((d + "/there").c_str(), (d + "/moved").c_str()));
  tell("rename back", ::rename((d + "/moved").c_str(), (d + "/there").c_str()));
  tell("unlink in " + d, ::unlink((d + "/new").c_str()));
  tell("rmdir in " + d, ::rmdir((d + "/newdir").c_str()));
  ::unlink((d + "/newlink").c_str());
  ::unlink((d + "/second").c_str());
}

inline void section_permissions() {
  ::umask(0);
  struct {
    const char* name;
    mode_t mode, file_mode;
    uid_t uid;
    gid_t gid;
  } dirs[] = {{"everyones", 0777, 0666, 0, 0},   {"groups", 0770, 0660, 0, 2000},      {"anns", 0700, 0600, 1001, 1001},
              {"search-only", 0711, 0644, 0, 0}, {"list-only", 0744, 0644, 0, 0},      {"not-bobs", 0705, 0606, 1002, 1002},
              {"sticky", 01777, 0666, 0, 0},     {"anns-sticky", 01777, 0644, 1001, 0}};
  for (const auto& d : dirs) {
    must("mkdir", ::mkdir(d.name, 0700));
    std::string there = std::string(d.name) + "/there";
    make_file(there.c_str(), "text", d.file_mode);
    must("chown", ::chown(there.c_str(), d.uid, d.gid));
    must("chown", ::chown(d.name, d.uid, d.gid));
    must("chmod", ::chmod(d.name, d.mode));
  }
  for (const User* user : {&kAnn, &kBob, &kBobInGroup}) {
    as(*user, [&] {
      for (const auto& d : dirs) try_all(d.name);
    });
  }
  for (const auto& d : dirs) show(d.name);
}

inline void section_owners() {
  ::umask(022);
  must("chmod", ::chmod(".", 0777));
  as(kAnnInGroup, [] {
    make_file("file");
    show("file");
    tell("chmod own", ::chmod("file", 0640));
    tell("chgrp to a group of mine", ::chown("file", static_cast<uid_t>(-1), 2000));
    tell("chgrp to a foreign group", ::chown("file", static_cast<uid_t>(-1), 2001));
    tell("chown to bob", ::chown("file", 1002, static_cast<gid_t>(-1)));
    tell("chown to myself", ::chown("file", 1001, static_cast<gid_t>(-1)));
    tell("mknod of a device", ::mknod("device", S_IFCHR | 0600, makedev(1, 3)));
    tell("mknod of a FIFO", ::mknod("fifo", S_IFIFO | 0600, 0));
    tell("mknod of a file", ::mknod("plain", S_IFREG | 0666, 0));
    tell("mknod of a whiteout", ::mknod("whiteout", S_IFCHR | 0600, makedev(0, 0)));
    tell("set trusted.", ::setxattr("file", "trusted.a", "1", 1, 0));
    tell("get trusted.", ::getxattr("file", "trusted.a", nullptr, 0));
    for (const char* name : {"file", "fifo", "plain"}) show(name);
  });
  must("chmod", ::chmod("plain", 0666));
  must("setxattr", ::setxattr("plain", "trusted.a", "1", 1, 0));
  as(kBob, [] {
    tell("chmod another's", ::chmod("plain", 0777));
    tell("chown another's", ::chown("plain", 1002, 1002));
    timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}}, then[2] = {{1, 0}, {1, 0}};
    timespec mixed[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    tell("touch another's that I may write", ::utimensat(AT_FDCWD, "plain", now, 0));
    tell("set its time", ::utimensat(AT_FDCWD, "plain", then, 0));
    tell("set one time only", ::utimensat(AT_FDCWD, "plain", mixed, 0));
    tell("touch what I may not write", ::utimensat(AT_FDCWD, "fifo", now, 0));
    tell("set user. of what I may write", ::setxattr("plain", "user.a", "1", 1, 0));
    tell("set user. of what I may not write", ::setxattr("file", "user.a", "1", 1, 0));
    tell("hard link to another's", ::link("file", "linked"));
    tell("hard link to another's that I may write", ::link("plain", "linked"));
    tell("open without changing atime", File("plain", O_RDONLY | O_NOATIME));
    show("plain");
  });
  for (const char* name : {"file", "fifo", "plain", "linked"}) show(name);
}

inline void section_umask() {
  must("chmod", ::chmod(".", 0777));
  for (mode_t mask : {0u, 022u, 027u, 077u, 0777u}) {
    ::umask(mask);
    for (const User* user : {&kAnn, &kBobInGroup}) {
      as(*user, [&] {
        std::string at = std::to_string(mask) + "-" + std::to_string(user->uid);
        create_file(at + ".file", 0666);
        create_file(at + ".odd", 04751);
        ::mkdir((at + ".dir").c_str(), 01777);
        ::mkfifo((at + ".fifo").c_str(), 0666);
        ::symlink("nowhere", (at + ".link").c_str());
        ::mknod((at + ".node").c_str(), S_IFREG | 0666, 0);
        for (const char* kind : {".file", ".odd", ".dir", ".fifo", ".link", ".node"}) show((at + kind).c_str());
      });
    }
  }
  ::umask(022);
}

inline void section_default_acls() {
  for (int mask_bits : {7, 5, 0}) {
    std::string dir = "mask-" + std::to_string(mask_bits);
    must("mkdir", ::mkdir(dir.c_str(), 0777));
    must("chmod", ::chmod(dir.c_str(), 0777));
    tell("set a default ACL", plain_acl(7, static_cast<uint16_t>(mask_bits)).set(dir.c_str(), kDefaultAcl));
    for (mode_t umask_bits : {0u, 077u}) {
      ::umask(umask_bits);
      as(kAnn, [&] {
        std::string at = dir + "/" + std::to_string(umask_bits);
        create_file(at + ".file", 0666);
        create_file(at + ".exec", 0755);
        create_file(at + ".closed", 0);
        ::mkdir((at + ".dir").c_str(), 0755);
        ::mkdir((at + ".dir/below").c_str(), 0700);
        ::mkfifo((at + ".fifo").c_str(), 0644);
        ::symlink("nowhere", (at + ".link").c_str());
        for (const char* kind : {".file", ".exec", ".closed", ".dir", ".dir/below", ".fifo", ".link"}) show((at + kind).c_str());
        File nameless(dir.c_str(), O_RDWR | O_TMPFILE, 0666);
        ::linkat(AT_FDCWD, magic_link(nameless).c_str(), AT_FDCWD, (at + ".tmpfile").c_str(), AT_SYMLINK_FOLLOW);
        show((at + ".tmpfile").c_str());
      });
    }
    tell("remove the default ACL", ::removexattr(dir.c_str(), kDefaultAcl));
    tell("remove it again", ::removexattr(dir.c_str(), kDefaultAcl));
    ::umask(022);
    make_file((dir + "/after").c_str());
    show((dir + "/after").c_str());
  }
}

inline void section_access_acls() {
  ::umask(022);
  make_file("file", "text");
  must("mkdir", ::mkdir("dir", 0755));
  make_file("dir/there", "text");
  auto try_as_all = [] {
    for (const User* user : {&kAnn, &kBob, &kBobInGroup, &kAnnInGroup}) {
      as(*user, [] {
        tell("read file", File("file", O_RDONLY));
        tell("write file", File("file", O_WRONLY));
        tell("execute file", ::access("file", X_OK));
        tell("read dir", File("dir", O_RDONLY));
        tell("open below dir", File("dir/there", O_RDONLY));
        tell("create below dir", ::mkdir("dir/new", 0755));
        ::rmdir("dir/new");
      });
    }
  };
  for (uint16_t mask : {7, 4, 0}) {
    tell("set an ACL on a file", plain_acl(6, mask).set("file", kAccessAcl));
    tell("set an ACL on a directory", plain_acl(7, mask).set("dir", kAccessAcl));
    show("file");
    show("dir");
    try_as_all();
  }
  tell("chmod changes the mask", ::chmod("file", 0664));
  show("file");
  try_as_all();
  Acl minimal;
  minimal.add(Acl::kOwner, 6).add(Acl::kOwningGroup, 4).add(Acl::kOther, 4);
  tell("an ACL that a mode can say", minimal.set("file", kAccessAcl));
  show("file");
  tell("remove the ACL of dir", ::removexattr("dir", kAccessAcl));
  show("dir");
  tell("a default ACL on a file", plain_acl(7, 7).set("file", kDefaultAcl));
  tell("nonsense", ::setxattr("file", kAccessAcl, "nonsense", 8, 0));
  Acl unmasked;
  unmasked.add(Acl::kOwner, 6).add(Acl::kUser, 6, 1002).add(Acl::kOwningGroup, 4).add(Acl::kOther, 4);
  tell("an ACL without its mask", unmasked.set("file", kAccessAcl));
  ::symlink("file", "link");
  tell("an ACL on a symbolic link", ::lsetxattr("link", kAccessAcl, "nonsense", 8, 0));
  must("chown", ::chown("file", 1001, 2000));
  must("chmod", ::chmod("file", 02755));
  as(kBob, [] { tell("another's ACL", plain_acl(7, 7).set("file", kAccessAcl)); });
  as(kAnnInGroup, [] { tell("an ACL from within the group", plain_acl(7, 7).set("file", kAccessAcl)); });
  show("file");
  as(kAnn, [] { tell("an ACL from outside the group", plain_acl(7, 7).set("file", kAccessAcl)); });
  show("file");
}

inline void section_setgid_directories() {
  ::umask(0);
  must("mkdir", ::mkdir("dir", 0777));
  must("chown", ::chown("dir", 0, 2000));
  must("chmod", ::chmod("dir", 02777));
  for (const User* user : {&kAnn, &kBobInGroup}) {
    as(*user, [&] {
      std::string at = "dir/" + std::to_string(user->uid);
      create_file(at + ".file", 0666);
      create_file(at + ".sgid", 02775);
      create_file(at + ".sgid-no-x", 02766);
      ::mkdir((at + ".dir").c_str(), 0755);
      ::mkdir((at + ".dir/below").c_str(), 0755);
      ::symlink("nowhere", (at + ".link").c_str());
      ::mkfifo((at + ".fifo").c_str(), 0644);
      File nameless("dir", O_RDWR | O_TMPFILE, 02775);
      ::linkat(AT_FDCWD, magic_link(nameless).c_str(), AT_FDCWD, (at + ".tmpfile").c_str(), AT_SYMLINK_FOLLOW);
      for (const char* kind : {".file", ".sgid", ".sgid-no-x", ".dir", ".dir/below", ".link", ".fifo", ".tmpfile"}) {
        show((at + kind).c_str());
      }
      tell("chmod g+s of my directory", ::chmod((at + ".dir").c_str(), 02755));
      tell("chmod g+s of my file", ::chmod((at + ".file").c_str(), 02755));
      show((at + ".dir").c_str());
      show((at + ".file").c_str());
    });
  }
  must("mkdir", ::mkdir("dir/roots", 0755));
  show("dir/roots");
  ::umask(022);
}

// ---- what takes set-id bits and capabilities away, and from whom

struct Attempt {
  const char* name;
  void (*run)(const char* path);
};

inline const std::vector<Attempt>& attempts() {
  static const std::vector<Attempt> all = {
      {"write", [](const char* p) { tell("write", ::write(File(p, O_WRONLY), "x", 1)); }},
      {"write-nothing", [](const char* p) { tell("write nothing", ::write(File(p, O_WRONLY), "x", 0)); }},
      {"append", [](const char* p) { tell("append", ::write(File(p, O_WRONLY | O_APPEND), "x", 1)); }},
      {"truncate", [](const char* p) { tell("truncate", ::truncate(p, 2)); }},
      {"ftruncate", [](const char* p) { tell("ftruncate", ::ftruncate(File(p, O_WRONLY), 2)); }},
      {"truncate-same", [](const char* p) { tell("truncate to the same size", ::truncate(p, 7)); }},
      {"open-trunc", [](const char* p) { tell("open with O_TRUNC", File(p, O_WRONLY | O_TRUNC)); }},
      {"open-creat-trunc", [](const char* p) { tell("open with O_CREAT and O_TRUNC", File(p, O_WRONLY | O_CREAT | O_TRUNC)); }},
      {"open", [](const char* p) { tell("open", File(p, O_WRONLY)); }},
      {"fallocate", [](const char* p) { tell("fallocate", ::fallocate(File(p, O_WRONLY), 0, 0, 8192)); }},
      {"punch", [](const char* p) { tell("punch a hole", ::fallocate(File(p, O_WRONLY), 3, 0, 4)); }},
      {"copy",
       [](const char* p) {
         tell("copy_file_range", ::copy_file_range(File("source", O_RDONLY), nullptr, File(p, O_WRONLY), nullptr, 5000, 0));
       }},
      {"pwritev",
       [](const char* p) {
         iovec part{const_cast<char*>("abc"), 3};
         tell("pwritev", ::pwritev(File(p, O_WRONLY), &part, 1, 1));
       }},
      {"direct",
       [](const char* p) {
         void* buffer = ::aligned_alloc(4096, 4096);
         std::memset(buffer, 'd', 4096);
         tell("write with O_DIRECT", ::pwrite(File(p, O_WRONLY | O_DIRECT), buffer, 4096, 4096));
         std::free(buffer);
       }},
      {"chmod", [](const char* p) { tell("chmod to the same", ::chmod(p, 06777)); }},
      {"chown-uid", [](const char* p) { tell("chown to the same user", ::chown(p, 1001, static_cast<gid_t>(-1))); }},
      {"chown-gid", [](const char* p) { tell("chown to the same group", ::chown(p, static_cast<uid_t>(-1), 2000)); }},
      {"acl", [](const char* p) { tell("set an ACL", plain_acl(7, 7).set(p, kAccessAcl)); }},
      {"xattr", [](const char* p) { tell("set user.", ::setxattr(p, "user.a", "1", 1, 0)); }},
      {"utime", [](const char* p) { tell("touch", ::utimensat(AT_FDCWD, p, nullptr, 0)); }},
      {"link", [](const char* p) { tell("link", ::link(p, (std::string(p) + ".linked").c_str())); }},
  };
  return all;
}

inline void write_mapped(const char* path) {
  File f(path, O_RDWR);
  void* at = ::mmap(nullptr, 7, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  if (!tell("map", at == MAP_FAILED ? -1 : 0)) return;
  static_cast<char*>(at)[2] = 'M';
  ::msync(at, 7, MS_SYNC);
  ::munmap(at, 7);
}

inline void give_capability(const char* path) {
  vfs_cap_data capability{};
  capability.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  capability.data[0].permitted = 1u << CAP_NET_RAW;
  must("setxattr", ::setxattr(path, "security.capability", &capability, XATTR_CAPS_SZ_2, 0));
}

inline void attempt_all(mode_t mode) {
  ::umask(022);
  must("chmod", ::chmod(".", 0777));
  make_file("source", std::string(9000, 's'), 0666);
  const User root{"", 0, 0, {}};
  for (const User* user : {&kBob, &kAnn, &kAnnInGroup, &root}) {
    std::string dir = "by-" + std::to_string(user->uid) + (user->groups.empty() ? "" : "-in-group");
    must("mkdir", ::mkdir(dir.c_str(), 0777));
    must("chmod", ::chmod(dir.c_str(), 0777));
    for (const Attempt& attempt : attempts()) {
      std::string path = dir + "/" + attempt.name;
      make_file(path.c_str(), "content");
      must("chown", ::chown(path.c_str(), 1001, 2000));
      give_capability(path.c_str());
      must("chmod", ::chmod(path.c_str(), mode));
      struct stat st;
      ::stat(path.c_str(), &st);  // known to the kernel before
      if (user == &root) {
        attempt.run(path.c_str());
      } else {
        as(*user, [&] {
          attempt.run(path.c_str());
          show(path.c_str());
        });
      }
      show(path.c_str());
    }
  }
}

inline void section_set_id_bits() {
  attempt_all(06777);
  // A descriptor that root opened, used by another.
  make_file("inherited", "content");
  must("chmod", ::chmod("inherited", 06777));
  File f("inherited", O_RDWR);
  as(kBob, [&] { tell("write to what root opened", ::write(f, "x", 1)); });
  show("inherited");
  must("chmod", ::chmod("inherited", 06777));
  as(kBob, [&] { tell("fallocate what root opened", ::fallocate(f, 0, 0, 10)); });
  show("inherited");
  make_file("mapped", "content");
  must("chmod", ::chmod("mapped", 06777));
  as(kBob, [] { write_mapped("mapped"); });
  show("mapped");
}

// Without the group's x the bit means nothing, but is kept for the members of the group: whom FUSE does not know.
inline void section_sgid_without_x() { attempt_all(02767); }

// A capability outlives a write through a mapping, which for FUSE is a write like any other.
inline void section_mapped_capability() {
  make_file("mapped", "content");
  give_capability("mapped");
  write_mapped("mapped");
  show("mapped");
}

inline void section_sticky_directories() {
  ::umask(0);
  for (mode_t mode : {01777u, 0777u}) {
    std::string dir = std::to_string(mode);
    must("mkdir", ::mkdir(dir.c_str(), 0777));
    must("chmod", ::chmod(dir.c_str(), mode));
    as(kAnn, [&] {
      make_file((dir + "/anns").c_str(), "text", 0666);
      make_file((dir + "/anns-2").c_str(), "text", 0666);
      ::mkdir((dir + "/anns-dir").c_str(), 0777);
      ::symlink("anns", (dir + "/anns-link").c_str());
    });
    as(kBob, [&] {
      make_file((dir + "/bobs").c_str(), "text", 0666);
      tell("write ann's", ::write(File((dir + "/anns").c_str(), O_WRONLY), "x", 1));
      tell("create over ann's", File((dir + "/anns").c_str(), O_WRONLY | O_CREAT, 0666));
      tell("follow ann's link", File((dir + "/anns-link").c_str(), O_RDONLY));
      tell("rename ann's", ::rename((dir + "/anns").c_str(), (dir + "/moved").c_str()));
      tell("rename over ann's", ::rename((dir + "/bobs").c_str(), (dir + "/anns-2").c_str()));
      tell("unlink ann's", ::unlink((dir + "/moved").c_str()));
      tell("rmdir ann's", ::rmdir((dir + "/anns-dir").c_str()));
      tell("unlink ann's link", ::unlink((dir + "/anns-link").c_str()));
      tell("unlink mine", ::unlink((dir + "/bobs").c_str()));
    });
    for (const char* name : {"/anns", "/anns-2", "/anns-dir", "/anns-link", "/moved", "/bobs"}) show((dir + name).c_str());
  }
  ::umask(022);
}

}  // namespace tfs::support
