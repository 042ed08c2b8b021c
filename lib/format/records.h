// One struct per record, in the order of tfs_stream(5); the string beside each member is its [tag] on that page and its key in
// the JSON of tfs_dump. fields() is the wire layout: encoder, decoder, dump and its inverse are all made from it, so they
// cannot disagree. Views point into the frame that was decoded, or at what the encoder's caller holds.
//
// Every [mode] is st_mode of stat(2), type bits included, so that 0 ("unchanged") is never a mode: a file of mode 04000 that
// loses its set-user-id bit has the mode 0100000 then.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "lib/base/bytes.h"
#include "lib/format/limits.h"
#include "lib/format/position.h"
#include "lib/format/record_type.h"

namespace tfs::format {

struct Time {
  int64_t sec = 0;
  uint32_t nsec = 0;
  bool operator==(const Time&) const = default;
};

constexpr std::string_view kMagic = "TFSTREAM";

constexpr uint32_t kHelloEmpty = 1;  // [flags] of HELLO: the store held nothing when the epoch began

struct Hello {
  static constexpr RecordType kType = RecordType::kHello;
  std::string_view magic = kMagic;
  uint32_t version = kVersion;
  uint32_t flags = 0;
  Epoch epoch;
  Time time;
  std::string_view host, store;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.magic("magic", s.magic);
    v.u32("version", s.version);
    v.u32("flags", s.flags);
    v.epoch("epoch", s.epoch);
    v.time("time", s.time);
    v.text("host", s.host);
    v.text("store", s.store);
  }
};

struct End {
  static constexpr RecordType kType = RecordType::kEnd;
  Time time;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.time("time", s.time);
  }
};

struct Heartbeat {
  static constexpr RecordType kType = RecordType::kHeartbeat;
  Time time;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.time("time", s.time);
  }
};

// Stands for the frames [first] to the seq of its own header, which are lost.
struct Gap {
  static constexpr RecordType kType = RecordType::kGap;
  uint64_t first = 0;
  Time time;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("first", s.first);
    v.time("time", s.time);
  }
};

struct Create {
  static constexpr RecordType kType = RecordType::kCreate;
  uint32_t mode = 0, uid = 0, gid = 0;
  Time mtime, parent_mtime;
  std::string_view path;  // empty: born nameless (O_TMPFILE)
  ByteView xattrs;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("mode", s.mode);
    v.u32("uid", s.uid);
    v.u32("gid", s.gid);
    v.time("mtime", s.mtime);
    v.time("parent-mtime", s.parent_mtime);
    v.entry_or_none("path", s.path);
    v.xattrs("xattrs", s.xattrs);
  }
};

struct Mkdir {
  static constexpr RecordType kType = RecordType::kMkdir;
  uint32_t mode = 0, uid = 0, gid = 0;
  Time mtime, parent_mtime;
  std::string_view path;
  ByteView xattrs;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("mode", s.mode);
    v.u32("uid", s.uid);
    v.u32("gid", s.gid);
    v.time("mtime", s.mtime);
    v.time("parent-mtime", s.parent_mtime);
    v.entry("path", s.path);
    v.xattrs("xattrs", s.xattrs);
  }
};

struct Mknod {
  static constexpr RecordType kType = RecordType::kMknod;
  uint32_t mode = 0, uid = 0, gid = 0;  // [mode] with the type: FIFO, socket, character or block device
  uint32_t major = 0, minor = 0;
  Time mtime, parent_mtime;
  std::string_view path;
  ByteView xattrs;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("mode", s.mode);
    v.u32("uid", s.uid);
    v.u32("gid", s.gid);
    v.u32("major", s.major);
    v.u32("minor", s.minor);
    v.time("mtime", s.mtime);
    v.time("parent-mtime", s.parent_mtime);
    v.entry("path", s.path);
    v.xattrs("xattrs", s.xattrs);
  }
};

struct Symlink {
  static constexpr RecordType kType = RecordType::kSymlink;
  uint32_t uid = 0, gid = 0;
  Time mtime, parent_mtime;
  std::string_view path, target;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("uid", s.uid);
    v.u32("gid", s.gid);
    v.time("mtime", s.mtime);
    v.time("parent-mtime", s.parent_mtime);
    v.entry("path", s.path);
    v.target("target", s.target);
  }
};

struct Link {
  static constexpr RecordType kType = RecordType::kLink;
  Time parent_mtime;
  std::string_view path, new_path;  // an empty path: the object is nameless and known by its id
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.time("parent-mtime", s.parent_mtime);
    v.entry_or_none("path", s.path);
    v.entry("new-path", s.new_path);
  }
};

constexpr uint32_t kUnlinkKeep = 1;  // [flags] of UNLINK: the object lives on nameless; keep it under its id until FORGET

struct Unlink {
  static constexpr RecordType kType = RecordType::kUnlink;
  uint32_t flags = 0;
  Time parent_mtime;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("flags", s.flags);
    v.time("parent-mtime", s.parent_mtime);
    v.entry("path", s.path);
  }
};

struct Rmdir {
  static constexpr RecordType kType = RecordType::kRmdir;
  Time parent_mtime;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.time("parent-mtime", s.parent_mtime);
    v.entry("path", s.path);
  }
};

constexpr uint32_t kRenameExchange = 1;  // [flags] of RENAME: both names stay, the objects change places
constexpr uint32_t kRenameWhiteout = 2;  // a character device 0:0 is left at [path]
constexpr uint32_t kRenameReplace = 4;   // [new-path] was in use: [replaced] goes
constexpr uint32_t kRenameKeep = 8;      // and lives on nameless: keep it under its id until FORGET

struct Rename {
  static constexpr RecordType kType = RecordType::kRename;
  uint32_t flags = 0;
  uint64_t replaced = 0;  // id of the object that was at [new-path], 0 for none
  uint32_t whiteout_uid = 0, whiteout_gid = 0;
  Time whiteout_mtime, parent_mtime, new_parent_mtime;
  std::string_view path, new_path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("flags", s.flags);
    v.u64("replaced", s.replaced);
    v.u32("whiteout-uid", s.whiteout_uid);
    v.u32("whiteout-gid", s.whiteout_gid);
    v.time("whiteout-mtime", s.whiteout_mtime);
    v.time("parent-mtime", s.parent_mtime);
    v.time("new-parent-mtime", s.new_parent_mtime);
    v.entry("path", s.path);
    v.entry("new-path", s.new_path);
  }
};

// The source has let the nameless object of the header's id go.
struct Forget {
  static constexpr RecordType kType = RecordType::kForget;
  template <class V, class S>
  static void fields(V&, S&) {}
};

struct Write {
  static constexpr RecordType kType = RecordType::kWrite;
  uint64_t offset = 0;
  Time mtime;
  uint32_t mode = 0;  // where the write took set-id bits away: the mode after it; else 0
  std::string_view path;
  ByteView data;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("offset", s.offset);
    v.time("mtime", s.mtime);
    v.u32("mode", s.mode);
    v.object("path", s.path);
    v.data("data", s.data);
  }
};

struct Truncate {
  static constexpr RecordType kType = RecordType::kTruncate;
  uint64_t size = 0;
  Time mtime;
  uint32_t mode = 0;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("size", s.size);
    v.time("mtime", s.mtime);
    v.u32("mode", s.mode);
    v.object("path", s.path);
  }
};

constexpr uint32_t kFallocateKeepSize = 1;    // [flags] of FALLOCATE, with the numbers of fallocate(2): the size stays
constexpr uint32_t kFallocatePunchHole = 2;   // the range becomes a hole
constexpr uint32_t kFallocateZeroRange = 16;  // it reads as zeros

struct Fallocate {
  static constexpr RecordType kType = RecordType::kFallocate;
  uint32_t flags = 0;
  uint64_t offset = 0, length = 0;
  Time mtime;
  uint32_t mode = 0;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("flags", s.flags);
    v.u64("offset", s.offset);
    v.u64("length", s.length);
    v.time("mtime", s.mtime);
    v.u32("mode", s.mode);
    v.object("path", s.path);
  }
};

struct Copy {
  static constexpr RecordType kType = RecordType::kCopy;
  uint64_t source_id = 0, source_offset = 0, offset = 0, length = 0;
  Time mtime;
  uint32_t mode = 0;
  std::string_view source_path, path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("source-id", s.source_id);
    v.u64("source-offset", s.source_offset);
    v.u64("offset", s.offset);
    v.u64("length", s.length);
    v.time("mtime", s.mtime);
    v.u32("mode", s.mode);
    v.object("source-path", s.source_path);
    v.object("path", s.path);
  }
};

constexpr uint32_t kSyncData = 1;  // [flags] of SYNC: fdatasync

struct Sync {
  static constexpr RecordType kType = RecordType::kSync;
  uint32_t flags = 0;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("flags", s.flags);
    v.object("path", s.path);
  }
};

constexpr uint32_t kSetMode = 1;  // [valid] of SETATTR
constexpr uint32_t kSetUid = 2;
constexpr uint32_t kSetGid = 4;
constexpr uint32_t kSetAtime = 8;
constexpr uint32_t kSetMtime = 16;

struct SetAttr {
  static constexpr RecordType kType = RecordType::kSetAttr;
  uint32_t valid = 0;
  uint32_t mode = 0, uid = 0, gid = 0;
  Time atime, mtime;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("valid", s.valid);
    v.u32("mode", s.mode);
    v.u32("uid", s.uid);
    v.u32("gid", s.gid);
    v.time("atime", s.atime);
    v.time("mtime", s.mtime);
    v.object("path", s.path);
  }
};

struct SetXattr {
  static constexpr RecordType kType = RecordType::kSetXattr;
  uint32_t mode = 0;  // the mode after it, where an ACL changed it; else 0
  std::string_view path, name;
  ByteView value;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("mode", s.mode);
    v.object("path", s.path);
    v.xattr_name("name", s.name);
    v.blob("value", s.value);
  }
};

struct RemoveXattr {
  static constexpr RecordType kType = RecordType::kRemoveXattr;
  uint32_t mode = 0;
  std::string_view path, name;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("mode", s.mode);
    v.object("path", s.path);
    v.xattr_name("name", s.name);
  }
};

constexpr uint32_t kFlagsInode = 1;    // [valid] of SETFLAGS: [inode-flags] holds what FS_IOC_GETFLAGS gave afterwards
constexpr uint32_t kFlagsProject = 2;  // [project] holds the project id

struct SetFlags {
  static constexpr RecordType kType = RecordType::kSetFlags;
  uint32_t valid = 0, inode_flags = 0, project = 0;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("valid", s.valid);
    v.u32("inode-flags", s.inode_flags);
    v.u32("project", s.project);
    v.object("path", s.path);
  }
};

constexpr uint32_t kScanWhole = 1;  // [flags] of SCANBEGIN: all of the store; else what is at and below [path]
constexpr uint32_t kScanQuick = 2;  // no HASH and no DATA will come: what differs in size or mtime is to be asked for

// A scan begins. Until SCANEND the stream is the truth: what a mirror has differently gives way.
struct ScanBegin {
  static constexpr RecordType kType = RecordType::kScanBegin;
  uint64_t scan = 0;  // a random name of the scan
  uint64_t seed = 0;  // of its hashes
  uint32_t flags = 0;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("scan", s.scan);
    v.u64("seed", s.seed);
    v.u32("flags", s.flags);
    v.object("path", s.path);
  }
};

constexpr uint32_t kListFirst = 1;  // [flags] of LIST: the first frame of this listing
constexpr uint32_t kListLast = 2;   // the last: what stood in none of its frames, and came by none since the first, is not there

// The names in a directory.
struct List {
  static constexpr RecordType kType = RecordType::kList;
  uint32_t flags = 0;
  std::string_view path;
  ByteView entries;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("flags", s.flags);
    v.object("path", s.path);
    v.entries("entries", s.entries);
  }
};

constexpr uint32_t kEntryMore = 1;  // [flags] of ENTRY: the next frame is the same once more, with more of [xattrs]

// What stands at a name: its type (in [mode]) and all attributes.
struct Entry {
  static constexpr RecordType kType = RecordType::kEntry;
  uint32_t flags = 0;
  uint32_t mode = 0, uid = 0, gid = 0;
  uint32_t major = 0, minor = 0;
  uint32_t inode_flags = 0;
  uint64_t size = 0;  // of a regular file
  Time mtime;
  std::string_view path, target;  // [target] of a symbolic link, else empty
  ByteView xattrs;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u32("flags", s.flags);
    v.u32("mode", s.mode);
    v.u32("uid", s.uid);
    v.u32("gid", s.gid);
    v.u32("major", s.major);
    v.u32("minor", s.minor);
    v.u32("inode-flags", s.inode_flags);
    v.u64("size", s.size);
    v.time("mtime", s.mtime);
    v.object("path", s.path);
    v.target_or_none("target", s.target);
    v.xattrs("xattrs", s.xattrs);
  }
};

// The hash of a stretch of a file: XXH3 of 128 bits with the seed of the scan.
struct Hash {
  static constexpr RecordType kType = RecordType::kHash;
  uint64_t offset = 0;
  uint32_t length = 0;
  uint32_t holes = 0;  // bit n: nothing is allocated for the page n (of kHashPage bytes) of the block
  static_assert(kHashBlock == 32 * kHashPage);
  uint64_t low = 0, high = 0;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("offset", s.offset);
    v.u32("length", s.length);
    v.u32("holes", s.holes);
    v.u64("hash-low", s.low);
    v.u64("hash-high", s.high);
    v.object("path", s.path);
  }
};

// The content of a stretch of a file as it is here in the stream; no change.
struct Data {
  static constexpr RecordType kType = RecordType::kData;
  uint64_t offset = 0;
  std::string_view path;
  ByteView data;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("offset", s.offset);
    v.object("path", s.path);
    v.data("data", s.data);
  }
};

// The same where nothing is allocated.
struct Hole {
  static constexpr RecordType kType = RecordType::kHole;
  uint64_t offset = 0, length = 0;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("offset", s.offset);
    v.u64("length", s.length);
    v.object("path", s.path);
  }
};

// The want for this stretch has been answered.
struct Given {
  static constexpr RecordType kType = RecordType::kGiven;
  uint64_t offset = 0, length = 0;
  std::string_view path;
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("offset", s.offset);
    v.u64("length", s.length);
    v.object("path", s.path);
  }
};

struct ScanEnd {
  static constexpr RecordType kType = RecordType::kScanEnd;
  uint64_t scan = 0, names = 0, bytes = 0;  // what was described
  template <class V, class S>
  static void fields(V& v, S& s) {
    v.u64("scan", s.scan);
    v.u64("names", s.names);
    v.u64("bytes", s.bytes);
  }
};

using Record = std::variant<Hello, End, Heartbeat, Gap, Create, Mkdir, Mknod, Symlink, Link, Unlink, Rmdir, Rename, Forget, Write,
                            Truncate, Fallocate, Copy, Sync, SetAttr, SetXattr, RemoveXattr, SetFlags, ScanBegin, List, Entry,
                            Hash, Data, Hole, Given, ScanEnd>;

// "WRITE" and so on, as tfs_stream(5) heads its sections; "" for a number that is no record of this version.
std::string_view name_of(RecordType type);

}  // namespace tfs::format
