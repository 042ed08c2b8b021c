// The types of frames. Numbers are never reused; tfs_stream(5) lists them under VERSIONS.
#pragma once

#include <cstdint>

namespace tfs::format {

constexpr uint16_t kVersion = 1;

enum class RecordType : uint16_t {
  // the stream itself
  kHello = 1,
  kEnd = 2,
  kHeartbeat = 3,
  kGap = 4,
  // names
  kCreate = 16,
  kMkdir = 17,
  kMknod = 18,
  kSymlink = 19,
  kLink = 20,
  kUnlink = 21,
  kRmdir = 22,
  kRename = 23,
  kForget = 24,
  // content
  kWrite = 32,
  kTruncate = 33,
  kFallocate = 34,
  kCopy = 35,
  kSync = 36,
  // attributes
  kSetAttr = 48,
  kSetXattr = 49,
  kRemoveXattr = 50,
  kSetFlags = 51,
  // the source describes itself
  kScanBegin = 64,
  kList = 65,
  kEntry = 66,
  kHash = 67,
  kData = 68,
  kHole = 69,
  kGiven = 70,
  kScanEnd = 71,
};

}  // namespace tfs::format
