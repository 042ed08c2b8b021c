// hostile_stream: streams whose frames are well formed, with checksums that hold, and that mean no good.
//
//   hostile_stream --list               prints "NAME STATUS[,STATUS...]" of each: what tfs_mirror has to end with
//   hostile_stream NAME CANARY          the stream on standard output. CANARY, an absolute path, is a directory with a file `file`,
//                                       a directory `dir` and a symbolic link `link` in it, that nothing may touch
//
// All begin with an empty store and are of the epoch 0102...10. Those called mounted-* make the directory `mp` and the file `mf`
// in their first two frames, and mean whatever has been mounted there by the third.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "lib/sys/io.h"
#include "tests/support/frames.h"

namespace {

using namespace tfs;
using namespace tfs::format;
using namespace std::string_literals;

constexpr Time kTime{1'600'000'000, 5};
constexpr uint64_t kTop = UINT64_MAX, kMost = INT64_MAX;
constexpr uint32_t kFile = S_IFREG | 0644, kDirectory = S_IFDIR | 0755;

// A stream in the making. Keeps what records point at.
class Stream {
 public:
  Stream() {
    Hello hello = test::hello_of(1);
    hello.flags = kHelloEmpty;
    test::append(bytes_, test::encode({}, hello));
  }

  Stream& add(uint64_t id, const Record& record) { return add_labelled({++seq_, id, 1}, record); }
  Stream& add_labelled(const Label& label, const Record& record) { return add_raw(test::encode(label, record)); }
  Stream& add_raw(ByteView bytes) {
    test::append(bytes_, bytes);
    return *this;
  }

  // The usual things.
  Stream& directory(uint64_t id, std::string_view path) { return add(id, Mkdir{kDirectory, 0, 0, kTime, kTime, path, {}}); }
  Stream& file(uint64_t id, std::string_view path) { return add(id, Create{kFile, 0, 0, kTime, kTime, path, {}}); }
  Stream& symlink(uint64_t id, std::string_view path, std::string_view target) {
    return add(id, Symlink{0, 0, kTime, kTime, path, target});
  }
  Stream& write(uint64_t id, std::string_view path, uint64_t offset = 0) {
    return add(id, Write{offset, kTime, 0, path, as_bytes("overwritten")});
  }
  Stream& rename(uint64_t id, std::string_view path, std::string_view new_path, uint32_t flags = 0) {
    return add(id, Rename{flags, 0, 0, 0, {}, kTime, kTime, path, new_path});
  }

  uint64_t seq() const { return seq_; }
  uint64_t next_seq() { return ++seq_; }
  test::Bytes without_hello() const { return test::copy_of(ByteView(bytes_).subspan(load_header(bytes_.data()).stride())); }
  test::Bytes end() { return add(0, End{kTime}).bytes_; }
  const test::Bytes& bytes() const { return bytes_; }

 private:
  test::Bytes bytes_;
  uint64_t seq_ = 0;
};

struct Case {
  std::string name, statuses;
  std::function<test::Bytes(const std::string& canary)> make;
};

std::vector<Case> cases;

void add_case(const std::string& name, const std::string& statuses,
              std::function<void(Stream&, const std::string& canary)> fill) {
  cases.push_back({name, statuses, [fill = std::move(fill)](const std::string& canary) {
                     Stream stream;
                     fill(stream, canary);
                     return stream.end();
                   }});
}

void add_raw_case(const std::string& name, const std::string& statuses, std::function<test::Bytes()> make) {
  cases.push_back({name, statuses, [make = std::move(make)](const std::string&) { return make(); }});
}

// Each record that names something, with `path` in each place for a path; `other` is what else it needs.
struct Named {
  std::string name;
  std::function<Record(std::string_view path, std::string_view other)> make;
};

const std::vector<Named>& named_records() {
  using sv = std::string_view;
  static const test::Bytes value(4, std::byte{'v'});
  static const std::vector<Named> all = {
      {"create", [](sv p, sv) { return Create{kFile, 0, 0, kTime, kTime, p, {}}; }},
      {"mkdir", [](sv p, sv) { return Mkdir{kDirectory, 0, 0, kTime, kTime, p, {}}; }},
      {"mknod", [](sv p, sv) { return Mknod{S_IFIFO | 0600, 0, 0, 0, 0, kTime, kTime, p, {}}; }},
      {"symlink", [](sv p, sv) { return Symlink{0, 0, kTime, kTime, p, "target"}; }},
      {"link-from",
       [](sv p, sv o) {
         return Link{kTime, p, o};
       }},
      {"link-to",
       [](sv p, sv o) {
         return Link{kTime, o, p};
       }},
      {"unlink",
       [](sv p, sv) {
         return Unlink{0, kTime, p};
       }},
      {"unlink-keep",
       [](sv p, sv) {
         return Unlink{kUnlinkKeep, kTime, p};
       }},
      {"rmdir",
       [](sv p, sv) {
         return Rmdir{kTime, p};
       }},
      {"rename-from", [](sv p, sv o) { return Rename{0, 0, 0, 0, {}, kTime, kTime, p, o}; }},
      {"rename-to", [](sv p, sv o) { return Rename{0, 0, 0, 0, {}, kTime, kTime, o, p}; }},
      {"rename-over", [](sv p, sv o) { return Rename{kRenameReplace, 9, 0, 0, {}, kTime, kTime, o, p}; }},
      {"exchange", [](sv p, sv o) { return Rename{kRenameExchange, 9, 0, 0, {}, kTime, kTime, o, p}; }},
      {"whiteout", [](sv p, sv o) { return Rename{kRenameWhiteout, 0, 0, 0, {}, kTime, kTime, p, o}; }},
      {"write",
       [](sv p, sv) {
         return Write{0, kTime, 0, p, value};
       }},
      {"truncate",
       [](sv p, sv) {
         return Truncate{1, kTime, 0, p};
       }},
      {"fallocate", [](sv p, sv) { return Fallocate{0, 0, 100, kTime, 0, p}; }},
      {"copy-from", [](sv p, sv o) { return Copy{77, 0, 0, 1, kTime, 0, p, o}; }},
      {"copy-to", [](sv p, sv o) { return Copy{5, 0, 0, 1, kTime, 0, o, p}; }},
      {"setattr", [](sv p, sv) { return SetAttr{31, kFile, 3, 4, kTime, kTime, p}; }},
      {"setxattr",
       [](sv p, sv) {
         return SetXattr{0, p, "user.evil", value};
       }},
      {"set-trusted",
       [](sv p, sv) {
         return SetXattr{0, p, "trusted.evil", value};
       }},
      {"removexattr",
       [](sv p, sv) {
         return RemoveXattr{0, p, "user.good"};
       }},
      {"setflags",
       [](sv p, sv) {
         return SetFlags{kFlagsInode, 0x40, 0, p};
       }},
  };
  return all;
}

// --- paths that are none

void paths() {
  static const std::vector<std::pair<std::string, std::string>> evil = {{"dotdot", ".."},
                                                                        {"dotdot-up", "../x"},
                                                                        {"dotdot-inside", "d/../../x"},
                                                                        {"dotdot-last", "d/.."},
                                                                        {"dot", "./x"},
                                                                        {"dot-inside", "d/./x"},
                                                                        {"absolute", "/x"},
                                                                        {"empty-component", "d//x"},
                                                                        {"slash-last", "d/"},
                                                                        {"nul", "d\0x"s},
                                                                        {"long-name", std::string(256, 'n')}};
  for (const Named& record : named_records()) {
    for (const auto& [what, path] : evil) {
      add_case("path-" + record.name + "-" + what, "3", [&record, &path = path](Stream& s, const std::string&) {
        s.directory(4, "d").file(5, "f").add(77, record.make(path, "f"));
      });
    }
  }
  for (const char* name : {"create", "mkdir", "unlink", "rmdir"}) {
    add_case("path-empty-or-top-"s + name, "3", [name = std::string(name)](Stream& s, const std::string&) {
      for (const Named& record : named_records()) {
        if (record.name == name) s.directory(4, "d").add(77, record.make(".", "d"));
      }
    });
  }
  // Where the mirror keeps its state inside, this would be it.
  for (const Named& record : named_records()) {
    for (const char* path : {".tfs-mirror", ".tfs-mirror/state", ".tfs-mirror/held", ".tfs-mirror/lock"}) {
      std::string name = "reserved-" + record.name + "-" + path;
      for (char& c : name) c = c == '/' ? '_' : c;
      add_case(name, "3", [&record, path](Stream& s, const std::string&) {
        s.directory(4, "d").file(5, "f").add(
            77, record.make(path, record.name.ends_with("to") || record.name.ends_with("over") ? "f" : "g"));
      });
    }
  }
}

// --- ways out

void links() {
  for (const Named& record : named_records()) {
    // Through a symbolic link on the way.
    for (const char* name : {"file", "dir", "new", "link"}) {
      add_case("through-" + record.name + "-" + name, "3", [&record, name](Stream& s, const std::string& canary) {
        std::string path = "out/"s + name;
        s.file(5, "f").symlink(6, "out", canary).add(77, record.make(path, "f"));
      });
    }
    add_case("through-relative-" + record.name, "3", [&record](Stream& s, const std::string& canary) {
      std::string up;
      for (int i = 0; i < 40; i++) up += "../";
      s.file(5, "f").symlink(6, "out", up + canary.substr(1)).add(77, record.make("out/file", "f"));
    });
    // Where a directory that is known was a moment ago.
    add_case("swapped-" + record.name, "3", [&record](Stream& s, const std::string& canary) {
      s.file(5, "f").directory(4, "d").file(7, "d/file").write(7, "d/file").rename(4, "d", "e").symlink(6, "d", canary);
      s.add(78, record.make("d/file", "f"));
    });
    add_case("exchanged-" + record.name, "3", [&record](Stream& s, const std::string& canary) {
      s.file(5, "f").directory(4, "d").directory(8, "d/dir").file(7, "d/dir/x").symlink(6, "s", canary);
      s.rename(4, "d", "s", kRenameExchange).add(78, record.make("d/dir/file", "f"));
    });
    add_case("replaced-" + record.name, "3", [&record](Stream& s, const std::string& canary) {
      s.file(5, "f").directory(4, "d").file(7, "d/x").add(7, Unlink{0, kTime, "d/x"}).add(4, Rmdir{kTime, "d"});
      s.symlink(6, "d", canary).add(78, record.make("d/file", "f"));
    });
    add_case("linked-" + record.name, "3", [&record](Stream& s, const std::string& canary) {
      s.file(5, "f").symlink(6, "out", canary).add(6, Link{kTime, "out", "also"}).add(77, record.make("also/file", "f"));
    });
  }
  // The link itself is what is meant, or nothing.
  auto at_link = [](const char* name, const char* statuses, std::function<void(Stream&)> use) {
    add_case("at-"s + name, statuses, [use = std::move(use)](Stream& s, const std::string& canary) {
      s.file(5, "f").symlink(6, "out", canary + "/file");
      use(s);
    });
  };
  at_link("create", "3", [](Stream& s) { s.file(7, "out"); });
  at_link("write", "3", [](Stream& s) { s.write(6, "out"); });
  at_link("write-hard", "3", [](Stream& s) { s.add(6, Link{kTime, "out", "b"}).write(6, "b"); });
  at_link("truncate", "3", [](Stream& s) { s.add(6, Truncate{0, kTime, 0, "out"}); });
  at_link("fallocate", "3", [](Stream& s) { s.add(6, Fallocate{0, 0, 1000, kTime, 0, "out"}); });
  at_link("copy-from", "3", [](Stream& s) { s.add(5, Copy{6, 0, 0, 4, kTime, 0, "out", "f"}); });
  at_link("copy-to", "3", [](Stream& s) { s.write(5, "f").add(6, Copy{5, 0, 0, 4, kTime, 0, "f", "out"}); });
  at_link("mode", "0,1,3", [](Stream& s) { s.add(6, SetAttr{kSetMode, kFile | 06777, 0, 0, {}, {}, "out"}); });
  at_link("owner", "0", [](Stream& s) { s.add(6, SetAttr{kSetUid | kSetGid, 0, 3, 4, {}, {}, "out"}); });
  at_link("times", "0", [](Stream& s) { s.add(6, SetAttr{kSetAtime | kSetMtime, 0, 0, 0, kTime, kTime, "out"}); });
  at_link("user-xattr", "1,3", [](Stream& s) { s.add(6, SetXattr{0, "out", "user.evil", as_bytes("x")}); });
  at_link("trusted-xattr", "0,1", [](Stream& s) { s.add(6, SetXattr{0, "out", "trusted.evil", as_bytes("x")}); });
  at_link("capability", "0,1", [](Stream& s) {
    s.add(6, SetXattr{0, "out", "security.capability",
                      as_bytes(std::string_view("\1\0\0\2\377\377\377\377\0\0\0\0\0\0\0\0\0\0\0\0", 20))});
  });
  at_link("acl", "0,1,3", [](Stream& s) {
    s.add(6, SetXattr{0, "out", "system.posix_acl_access", as_bytes(std::string_view("\2\0\0\0", 4))});
  });
  at_link("xattr-with-mode", "0,1,3", [](Stream& s) { s.add(6, SetXattr{kFile | 0777, "out", "trusted.evil", as_bytes("x")}); });
  at_link("remove-xattr", "1,3", [](Stream& s) { s.add(6, RemoveXattr{0, "out", "user.good"}); });
  at_link("flags", "1,3", [](Stream& s) { s.add(6, SetFlags{kFlagsInode, 0x10, 0, "out"}); });
  at_link("held", "3", [](Stream& s) { s.add(6, Unlink{kUnlinkKeep, kTime, "out"}).write(6, ""); });
  at_link("unlink", "0", [](Stream& s) { s.add(6, Unlink{0, kTime, "out"}); });
  at_link("rename-over", "0", [](Stream& s) { s.rename(5, "f", "out", kRenameReplace); });
  at_link("mkdir-below", "3", [](Stream& s) { s.directory(9, "out/d"); });
}

// --- what somebody has mounted

void mounts() {
  auto mounted = [](const char* name, const char* statuses, std::function<void(Stream&)> use) {
    add_case("mounted-"s + name, statuses, [use = std::move(use)](Stream& s, const std::string&) {
      s.directory(4, "mp").file(5, "mf");
      use(s);
    });
  };
  for (const Named& record : named_records()) {
    if (record.name == "symlink" || record.name == "mknod") continue;
    mounted(("in-" + record.name).c_str(), "3", [&record](Stream& s) { s.add(77, record.make("mp/file", "other")); });
  }
  mounted("setattr", "3", [](Stream& s) { s.add(4, SetAttr{31, kDirectory | 0777, 3, 4, kTime, kTime, "mp"}); });
  mounted("setxattr", "3", [](Stream& s) { s.add(4, SetXattr{0, "mp", "user.evil", as_bytes("x")}); });
  mounted("setflags", "3", [](Stream& s) { s.add(4, SetFlags{kFlagsInode, 0x40, 0, "mp"}); });
  mounted("write", "3", [](Stream& s) { s.write(5, "mf"); });
  mounted("truncate", "3", [](Stream& s) { s.add(5, Truncate{0, kTime, 0, "mf"}); });
  mounted("copy-from", "3", [](Stream& s) { s.file(6, "f").add(6, Copy{5, 0, 0, 4, kTime, 0, "mf", "f"}); });
  mounted("file-setattr", "3", [](Stream& s) { s.add(5, SetAttr{31, kFile | 0777, 3, 4, kTime, kTime, "mf"}); });
  mounted("file-link", "3", [](Stream& s) { s.add(5, Link{kTime, "mf", "x"}); });
}

// --- special files

void special_files() {
  auto device = [](const char* name, const char* statuses, uint32_t mode, std::function<void(Stream&)> use) {
    add_case("device-"s + name, statuses, [mode, use = std::move(use)](Stream& s, const std::string&) {
      s.file(5, "f").write(5, "f").add(6, Mknod{mode, 0, 0, 1, 5, kTime, kTime, "n", {}});
      use(s);
    });
  };
  for (const auto& [kind, mode] :
       {std::pair("char", S_IFCHR | 0666), {"block", S_IFBLK | 0666}, {"fifo", S_IFIFO | 0666}, {"socket", S_IFSOCK | 0666}}) {
    std::string name = kind;
    device((name + "-made").c_str(), "0", static_cast<uint32_t>(mode), [](Stream&) {});
    device((name + "-write").c_str(), "3", static_cast<uint32_t>(mode), [](Stream& s) { s.write(6, "n"); });
    device((name + "-truncate").c_str(), "3", static_cast<uint32_t>(mode), [](Stream& s) {
      s.add(6, Truncate{9, kTime, 0, "n"});
    });
    device((name + "-fallocate").c_str(), "3", static_cast<uint32_t>(mode), [](Stream& s) {
      s.add(6, Fallocate{0, 0, 9, kTime, 0, "n"});
    });
    device((name + "-copy-from").c_str(), "3", static_cast<uint32_t>(mode), [](Stream& s) {
      s.add(5, Copy{6, 0, 0, 4, kTime, 0, "n", "f"});
    });
    device((name + "-copy-to").c_str(), "3", static_cast<uint32_t>(mode), [](Stream& s) {
      s.add(6, Copy{5, 0, 0, 4, kTime, 0, "f", "n"});
    });
    device((name + "-flags").c_str(), "1,3", static_cast<uint32_t>(mode), [](Stream& s) {
      s.add(6, SetFlags{kFlagsInode, 0x40, 0, "n"});
    });
    device((name + "-sync").c_str(), "0,1,3", static_cast<uint32_t>(mode), [](Stream& s) { s.add(6, Sync{0, "n"}); });
    device((name + "-below").c_str(), "3", static_cast<uint32_t>(mode), [](Stream& s) { s.file(7, "n/x"); });
  }
  for (const auto& [kind, mode] :
       {std::pair("directory", S_IFDIR), {"link", S_IFLNK}, {"nothing", 0}, {"regular", S_IFREG}, {"all", 0xffff}}) {
    add_case("mknod-"s + kind, "0,1,3", [mode = static_cast<uint32_t>(mode)](Stream& s, const std::string&) {
      s.add(6, Mknod{mode | 0600, 0, 0, 0, 0, kTime, kTime, "n", {}});
    });
  }
}

// --- numbers

void numbers() {
  for (uint64_t offset : {kMost - 5, kMost, kMost + 1, kTop - 5, kTop}) {
    add_case("write-at-" + std::to_string(offset), "1,3",
             [offset](Stream& s, const std::string&) { s.file(5, "f").write(5, "f", offset); });
  }
  for (uint64_t size : {kMost, kMost + 1, kTop}) {
    add_case("truncate-to-" + std::to_string(size), size == kMost ? "0,1" : "1,3", [size](Stream& s, const std::string&) {
      s.file(5, "f").add(5, Truncate{size, kTime, 0, "f"});
    });
  }
  constexpr std::pair<uint64_t, uint64_t> ranges[] = {{0, 0},    {kMost, 1},   {kMost, kMost}, {kTop, 1},
                                                      {1, kTop}, {kTop, kTop}, {0, kMost + 1}};
  for (auto [offset, length] : ranges) {
    for (uint32_t flags : {0u, 1u, 3u, 16u, 2u, 17u}) {
      add_case("fallocate-" + std::to_string(flags) + "-" + std::to_string(offset) + "-" + std::to_string(length), "1,3",
               [=, o = offset, l = length](Stream& s, const std::string&) {
                 s.file(5, "f").add(5, Fallocate{flags, o, l, kTime, 0, "f"});
               });
    }
  }
  add_case("fallocate-unknown-mode", "3", [](Stream& s, const std::string&) {
    s.file(5, "f").add(5, Fallocate{8, 0, 4096, kTime, 0, "f"});
  });
  constexpr uint64_t copies[][3] = {{0, 0, kTop}, {kTop, 0, 1}, {0, kTop, 1}, {kMost, kMost, kMost}, {0, 0, 12}, {11, 0, 1}};
  for (const auto& [from, to, length] : copies) {
    add_case("copy-" + std::to_string(from) + "-" + std::to_string(to) + "-" + std::to_string(length), "1,3",
             [=, f = from, t = to, l = length](Stream& s, const std::string&) {
               s.file(5, "f").write(5, "f").file(6, "g").add(6, Copy{5, f, t, l, kTime, 0, "f", "g"});
             });
  }
  add_case("copy-nothing", "0", [](Stream& s, const std::string&) {
    s.file(5, "f").file(6, "g").add(6, Copy{5, 0, 0, 0, kTime, 0, "f", "g"});
  });
  add_case("copy-onto-itself", "0,1", [](Stream& s, const std::string&) {
    s.file(5, "f").write(5, "f").add(5, Copy{5, 0, 2, 9, kTime, 0, "f", "f"});
  });
  add_case("write-nothing", "0", [](Stream& s, const std::string&) { s.file(5, "f").add(5, Write{kMost, kTime, 0, "f", {}}); });
  for (int64_t sec : {INT64_MIN, INT64_MAX}) {
    add_case("time-" + std::to_string(sec), "0", [sec](Stream& s, const std::string&) {
      s.file(5, "f")
          .add(5, SetAttr{kSetAtime | kSetMtime, 0, 0, 0, {sec, 0}, {sec, kMaxNanosecond}, "f"})
          .add(6, Mkdir{kDirectory, 0, 0, {sec, 1}, {sec, 2}, "d", {}});
    });
  }
  for (uint32_t nsec : {kMaxNanosecond + 1, 0x3fffffffu, 0x3ffffffeu, UINT32_MAX}) {
    add_case("nanosecond-" + std::to_string(nsec), "3", [nsec](Stream& s, const std::string&) {
      s.file(5, "f").add(5, Truncate{0, {1, nsec}, 0, "f"});
    });
  }
  add_case("all-attributes", "0,1,3", [](Stream& s, const std::string&) {
    s.file(5, "f")
        .add(5, SetAttr{31, UINT32_MAX, UINT32_MAX, UINT32_MAX, kTime, kTime, "f"})
        .add(5, SetFlags{kFlagsInode, 0xffffffcf, 0, "f"});
  });
  add_case("unknown-attribute", "3", [](Stream& s, const std::string&) {
    s.file(5, "f").add(5, SetAttr{64, 0, 0, 0, {}, {}, "f"});
  });
}

// --- ids and objects

void objects() {
  auto play = [](const char* name, const char* statuses, std::function<void(Stream&)> fill) {
    add_case(name, statuses, [fill = std::move(fill)](Stream& s, const std::string&) { fill(s); });
  };
  play("id-twice", "0", [](Stream& s) { s.file(5, "a").write(5, "a").file(5, "b").write(5, "b").write(5, "a"); });
  play("id-0", "0", [](Stream& s) { s.file(0, "a").write(0, "a").add(0, Unlink{kUnlinkKeep, kTime, "a"}).write(0, ""); });
  play("id-top", "0", [](Stream& s) {
    s.file(kTop, "a").add(kTop, Unlink{kUnlinkKeep, kTime, "a"}).write(kTop, "").add(kTop, Forget{});
  });
  play("held-twice", "3", [](Stream& s) {
    s.file(5, "a").add(5, Unlink{kUnlinkKeep, kTime, "a"}).file(5, "b").add(5, Unlink{kUnlinkKeep, kTime, "b"});
  });
  play("nameless-twice", "3", [](Stream& s) {
    s.add(5, Create{kFile, 0, 0, kTime, {}, "", {}}).add(5, Create{kFile, 0, 0, kTime, {}, "", {}});
  });
  play("nameless-unknown", "3", [](Stream& s) { s.write(12345, ""); });
  play("nameless-link-unknown", "3", [](Stream& s) { s.add(kTop, Link{kTime, "", "x"}); });
  play("forget-unknown", "3", [](Stream& s) { s.add(kTop - 1, Forget{}); });
  play("forget-and-use", "3", [](Stream& s) { s.add(5, Create{kFile, 0, 0, kTime, {}, "", {}}).add(5, Forget{}).write(5, ""); });
  play("replace-keeps-unknown", "3", [](Stream& s) {
    s.file(5, "a").add(5, Rename{kRenameKeep | kRenameReplace, kTop, 0, 0, {}, kTime, kTime, "a", "b"});
  });
  play("keep-a-directory", "1,3", [](Stream& s) { s.directory(5, "a").add(5, Unlink{kUnlinkKeep, kTime, "a"}); });
  play("unlink-a-directory", "3", [](Stream& s) { s.directory(5, "a").add(5, Unlink{0, kTime, "a"}); });
  play("rmdir-a-file", "3", [](Stream& s) { s.file(5, "a").add(5, Rmdir{kTime, "a"}); });
  play("rmdir-not-empty", "3", [](Stream& s) { s.directory(5, "a").file(6, "a/b").add(5, Rmdir{kTime, "a"}); });
  play("link-a-directory", "1,3", [](Stream& s) { s.directory(5, "a").add(5, Link{kTime, "a", "b"}); });
  play("rename-into-itself", "1,3", [](Stream& s) { s.directory(5, "a").rename(5, "a", "a/b"); });
  play("rename-to-itself", "0,3", [](Stream& s) { s.file(5, "a").rename(5, "a", "a", kRenameReplace); });
  play("exchange-with-below", "1,3",
       [](Stream& s) { s.directory(5, "a").file(6, "a/b").rename(5, "a", "a/b", kRenameExchange); });
  play("write-the-top", "3", [](Stream& s) { s.write(1, "."); });
  play("truncate-the-top", "3", [](Stream& s) { s.add(1, Truncate{0, kTime, 0, "."}); });
  play("copy-the-top", "3", [](Stream& s) { s.file(5, "f").add(5, Copy{1, 0, 0, 1, kTime, 0, ".", "f"}); });
  play("change-the-top", "0", [](Stream& s) { s.add(1, SetAttr{31, kDirectory | 0700, 0, 0, kTime, kTime, "."}).file(5, "f"); });
  play("same-name-twice", "3", [](Stream& s) { s.directory(5, "a").directory(6, "a"); });
  play("file-as-directory", "3", [](Stream& s) { s.file(5, "a").file(6, "a/b"); });
  play("write-a-directory", "3", [](Stream& s) { s.directory(5, "a").write(5, "a"); });
  play("xattr-without-namespace", "1,3", [](Stream& s) { s.file(5, "f").add(5, SetXattr{0, "f", "evil", as_bytes("x")}); });
  play("xattr-with-nul", "3", [](Stream& s) {
    s.file(5, "f").add(5, SetXattr{0, "f", std::string_view("user.a\0b", 8), as_bytes("x")});
  });
  play("acl-of-garbage", "1,3", [](Stream& s) {
    s.file(5, "f").add(5, SetXattr{0, "f", "system.posix_acl_access", as_bytes("garbage")});
  });
  play("many-nameless", "0", [](Stream& s) {
    for (uint64_t id = 1; id <= 3000; id++) s.add(id, Create{kFile, 0, 0, kTime, {}, "", {}});
    for (uint64_t id = 1; id <= 3000; id++) s.add(id, Forget{});
  });
  play("many-directories", "0", [](Stream& s) {
    for (uint64_t id = 1; id <= 1000; id++) {
      std::string name = "d" + std::to_string(id);
      s.directory(2 * id, name).file(2 * id + 1, name + "/f").write(2 * id + 1, name + "/f");
    }
  });
  play("deep", "0", [](Stream& s) {
    std::string path;
    for (uint64_t id = 1; id <= 2200; id++) s.directory(id, path += id == 1 ? "d" : "/d");
    s.file(9999, path + "/f").write(9999, path + "/f").add(9999, Unlink{0, kTime, path + "/f"});
  });
  play("deep-nowhere", "3", [](Stream& s) {
    std::string path(kMaxPath, 'd');
    for (size_t i = 1; i + 1 < path.size(); i += 2) path[i] = '/';
    s.file(5, path);
  });
  play("long-name", "0", [](Stream& s) { s.file(5, std::string(kMaxName, 'n')).write(5, std::string(kMaxName, 'n')); });
  play("target-4095", "0", [](Stream& s) { s.symlink(5, "l", std::string(kMaxTarget, 't')); });
  play("target-4096", "3", [](Stream& s) { s.symlink(5, "l", std::string(kMaxTarget + 1, 't')); });
  play("target-empty", "3", [](Stream& s) { s.symlink(5, "l", ""); });
  play("target-with-nul", "3", [](Stream& s) { s.symlink(5, "l", "a\0b"s); });
}

// --- frames

test::Bytes sized(size_t size, uint16_t flags, uint16_t type = 60000) {
  Header header{static_cast<uint32_t>(size), RecordType{type}, flags, 0, 0, 1, 0};
  test::Bytes out(std::max(kHeaderSize, header.stride()));
  store_header(header, out.data());
  if (size >= kHeaderSize) test::seal(out);
  return out;
}

void frames() {
  auto raw = [](const std::string& name, const char* statuses, std::function<void(Stream&)> fill) {
    add_case(name, statuses, [fill = std::move(fill)](Stream& s, const std::string&) { fill(s); });
  };
  for (size_t size :
       {size_t{0}, kHeaderSize - 1, kHeaderSize, kHeaderSize + 1, kMaxFrame - 1, kMaxFrame, kMaxFrame + 1, size_t{UINT32_MAX}}) {
    bool is_fine = size >= kHeaderSize && size <= kMaxFrame;
    raw("size-" + std::to_string(size), is_fine ? "0" : "3", [=](Stream& s) {
      s.next_seq();
      s.add_raw(sized(is_fine ? size : 0, kFlagSkippable));
      if (is_fine) return;
      test::Bytes bad = sized(kHeaderSize, kFlagSkippable);
      store_le<uint32_t>(bad.data(), static_cast<uint32_t>(size));
      s.add_raw(bad);
    });
  }
  for (size_t size : {kMaxData - 1, kMaxData, kMaxData + 1}) {
    raw("data-" + std::to_string(size), size <= kMaxData ? "0" : "3", [=](Stream& s) {
      test::Bytes data(size, std::byte{'x'});
      s.file(5, "f").add(5, Write{0, kTime, 0, "f", data});
    });
  }
  for (uint16_t type : std::initializer_list<uint16_t>{0, 1000, 60000, UINT16_MAX}) {
    for (uint16_t flags : std::initializer_list<uint16_t>{0, kFlagSkippable, 0xfffe, UINT16_MAX}) {
      bool may_skip = flags & kFlagSkippable;
      raw("type-" + std::to_string(type) + "-" + std::to_string(flags), may_skip ? "0" : "3",
          [=](Stream& s) { s.add_raw(test::raw_frame(type, s.next_seq(), as_bytes("whatever"), flags)).file(5, "f"); });
    }
  }
  raw("known-type-skippable-and-bad", "3", [](Stream& s) {
    s.add_raw(test::raw_frame(static_cast<uint16_t>(RecordType::kCreate), s.next_seq(), as_bytes("bad"), kFlagSkippable));
  });
  raw("payload-too-long", "3",
      [](Stream& s) { s.add_raw(test::raw_frame(static_cast<uint16_t>(RecordType::kForget), s.next_seq(), as_bytes("more"))); });
  raw("payload-too-short", "3",
      [](Stream& s) { s.add_raw(test::raw_frame(static_cast<uint16_t>(RecordType::kRename), s.next_seq(), as_bytes("less"))); });
  raw("path-longer-than-payload", "3", [](Stream& s) {
    test::Bytes frame = test::encode({s.next_seq(), 5, 0}, Rmdir{kTime, "d"});
    store_le<uint16_t>(frame.data() + kHeaderSize + 12, UINT16_MAX);
    test::seal(frame);
    s.directory(4, "d").add_raw(frame);
  });
  raw("xattrs-longer-than-payload", "3", [](Stream& s) {
    test::Bytes frame = test::encode({s.next_seq(), 5, 0}, Create{kFile, 0, 0, kTime, kTime, "f", {}});
    store_le<uint32_t>(frame.data() + load_header(frame.data()).size - 4, UINT32_MAX);
    test::seal(frame);
    s.add_raw(frame);
  });
  raw("padding-not-zero", "3", [](Stream& s) {
    test::Bytes frame = test::encode({s.next_seq(), 5, 0}, Rmdir{kTime, "d"});
    frame.back() = std::byte{1};
    s.add_raw(frame);
  });
  raw("number-0", "3", [](Stream& s) { s.add_labelled({0, 5, 1}, Create{kFile, 0, 0, kTime, kTime, "f", {}}); });
  raw("number-2", "3", [](Stream& s) { s.next_seq(), s.file(5, "f"); });
  raw("number-back", "3", [](Stream& s) {
    s.file(5, "f").file(6, "g").add_labelled({1, 7, 1}, Create{kFile, 0, 0, kTime, kTime, "h", {}});
  });
  raw("number-top", "3", [](Stream& s) { s.add_labelled({kTop, 5, 1}, Create{kFile, 0, 0, kTime, kTime, "f", {}}); });
  raw("gap", "3", [](Stream& s) { s.file(5, "f").add(0, Gap{2, kTime}); });
  raw("gap-of-all", "3", [](Stream& s) { s.add_labelled({kTop, 0, 0}, Gap{1, kTime}); });
  raw("gap-backwards", "3", [](Stream& s) { s.file(5, "f").add_labelled({2, 0, 0}, Gap{3, kTime}); });
  raw("gap-from-0", "3", [](Stream& s) { s.add_labelled({1, 0, 0}, Gap{0, kTime}); });
  raw("hello-again", "0", [](Stream& s) {
    Hello hello = test::hello_of(1);
    s.file(5, "f").add_raw(test::encode({}, hello)).file(6, "g");
  });
  raw("hello-of-another-epoch", "3", [](Stream& s) {
    Hello hello = test::hello_of(2);
    hello.flags = kHelloEmpty;
    s.file(5, "f").add_raw(test::encode({}, hello)).add_labelled({1, 6, 1}, Create{kFile, 0, 0, kTime, kTime, "g", {}});
  });
  raw("hello-with-a-number", "3", [](Stream& s) { s.file(5, "f").add(0, test::hello_of(1)); });
}

void streams() {
  auto hello = [](std::function<void(Hello&)> change) {
    return [change = std::move(change)] {
      Hello h = test::hello_of(1);
      h.flags = kHelloEmpty;
      change(h);
      test::Bytes out = test::encode({}, h);
      test::append(out, test::encode({1, 0, 0}, End{kTime}));
      return out;
    };
  };
  add_raw_case("stream-empty", "4", [] { return test::Bytes(); });
  add_raw_case("stream-of-a-byte", "4", [] { return test::Bytes(1, std::byte{1}); });
  add_raw_case("stream-of-zeros", "3", [] { return test::Bytes(100000); });
  add_raw_case("stream-of-text", "3", [] { return test::copy_of(as_bytes("The quick brown fox jumps over the lazy dog.\n")); });
  add_raw_case("stream-of-noise", "3", [] {
    test::Random random(1);
    test::Bytes out(100000);
    for (std::byte& b : out) b = static_cast<std::byte>(random.next());
    return out;
  });
  add_raw_case("stream-of-small-sizes", "3", [] {
    test::Bytes out(100000, std::byte{0});
    for (size_t i = 0; i < out.size(); i += 16) out[i] = std::byte{48};
    return out;
  });
  add_raw_case("stream-without-hello", "3", [] { return Stream().file(5, "f").without_hello(); });
  add_raw_case("stream-without-end", "4", [] { return Stream().file(5, "f").bytes(); });
  add_raw_case("hello-only", "4", [] { return Stream().bytes(); });
  add_raw_case("hello-of-version-0", "3", hello([](Hello& h) { h.version = 0; }));
  add_raw_case("hello-of-version-2", "3", hello([](Hello& h) { h.version = 2; }));
  add_raw_case("hello-without-epoch", "3", hello([](Hello& h) { h.epoch = {}; }));
  add_raw_case("hello-not-empty", "3", hello([](Hello& h) { h.flags = 0; }));
  add_raw_case("hello-with-another-magic", "3", hello([](Hello& h) { h.magic = "TFSTREAN"; }));
  add_raw_case("hello-with-flags", "0", hello([](Hello& h) { h.flags = UINT32_MAX; }));
  add_raw_case("hello-with-long-names", "3", hello([](Hello& h) {
                 static const std::string name(kMaxText + 1, 'h');
                 h.host = name;
               }));
}

// --- all of it

int run(int argc, char** argv) {
  paths();
  links();
  mounts();
  special_files();
  numbers();
  objects();
  frames();
  streams();
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const Case& c : cases) std::printf("%s %s\n", c.name.c_str(), c.statuses.c_str());
    return 0;
  }
  if (argc != 3) {
    std::fprintf(stderr, "usage: hostile_stream --list\n       hostile_stream NAME CANARY\n");
    return 2;
  }
  for (const Case& c : cases) {
    if (c.name != argv[1]) continue;
    Status status = sys::write_all("hostile_stream.write", STDOUT_FILENO, c.make(argv[2]));
    return status || status.error().sys_errno == EPIPE ? 0 : 1;
  }
  std::fprintf(stderr, "hostile_stream: there is no %s\n", argv[1]);
  return 2;
}

}  // namespace

int main(int argc, char** argv) { return run(argc, argv); }
