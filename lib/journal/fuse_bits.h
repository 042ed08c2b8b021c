// Bits of FUSE's protocol that the packaged headers may not have yet, or that libfuse does not show. From <linux/fuse.h>.
#pragma once

#include <cstdint>

namespace tfs::journal {

// SETATTR [valid], as libfuse passes it on.
constexpr int kFuseSetMode = 1 << 0;
constexpr int kFuseSetUid = 1 << 1;
constexpr int kFuseSetGid = 1 << 2;
constexpr int kFuseSetSize = 1 << 3;
constexpr int kFuseSetAtime = 1 << 4;
constexpr int kFuseSetMtime = 1 << 5;
constexpr int kFuseSetAtimeNow = 1 << 7;
constexpr int kFuseSetMtimeNow = 1 << 8;
constexpr int kFuseKillSetId = 1 << 11;

// INIT flags: bits 0 to 31 stand in `flags`, 32 to 63 in `flags2`, which counts only together with kInitExt.
constexpr uint64_t kParallelDirops = uint64_t{1} << 18;
constexpr uint64_t kHandleKillprivV2 = uint64_t{1} << 28;
constexpr uint64_t kSetxattrExt = uint64_t{1} << 29;
constexpr uint64_t kInitExt = uint64_t{1} << 30;
constexpr uint64_t kOverIoUring = uint64_t{1} << 41;

// Requests and flags that libfuse 3.14 does not know or hides.
constexpr uint32_t kOpSetxattr = 21;
constexpr uint32_t kOpTmpfile = 51;
constexpr uint32_t kOpStatx = 52;
constexpr uint32_t kWriteKillSetId = 1 << 2;
constexpr uint32_t kSetxattrAclKillSgid = 1 << 0;

}  // namespace tfs::journal
