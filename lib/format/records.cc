#include "lib/format/records.h"

namespace tfs::format {

std::string_view name_of(RecordType type) {
  switch (type) {
    case RecordType::kHello: return "HELLO";
    case RecordType::kEnd: return "END";
    case RecordType::kHeartbeat: return "HEARTBEAT";
    case RecordType::kGap: return "GAP";
    case RecordType::kCreate: return "CREATE";
    case RecordType::kMkdir: return "MKDIR";
    case RecordType::kMknod: return "MKNOD";
    case RecordType::kSymlink: return "SYMLINK";
    case RecordType::kLink: return "LINK";
    case RecordType::kUnlink: return "UNLINK";
    case RecordType::kRmdir: return "RMDIR";
    case RecordType::kRename: return "RENAME";
    case RecordType::kForget: return "FORGET";
    case RecordType::kWrite: return "WRITE";
    case RecordType::kTruncate: return "TRUNCATE";
    case RecordType::kFallocate: return "FALLOCATE";
    case RecordType::kCopy: return "COPY";
    case RecordType::kSync: return "SYNC";
    case RecordType::kSetAttr: return "SETATTR";
    case RecordType::kSetXattr: return "SETXATTR";
    case RecordType::kRemoveXattr: return "REMOVEXATTR";
    case RecordType::kSetFlags: return "SETFLAGS";
    case RecordType::kScanBegin: return "SCANBEGIN";
    case RecordType::kList: return "LIST";
    case RecordType::kEntry: return "ENTRY";
    case RecordType::kHash: return "HASH";
    case RecordType::kData: return "DATA";
    case RecordType::kHole: return "HOLE";
    case RecordType::kGiven: return "GIVEN";
    case RecordType::kScanEnd: return "SCANEND";
  }
  return "";
}

}  // namespace tfs::format
