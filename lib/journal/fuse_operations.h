// The table of callbacks that libfuse takes: each unpacks, calls the Filesystem and replies. No decisions.
#pragma once

namespace tfs::journal {

class Session;

constexpr double kForever = 86400;  // seconds that the kernel may keep entries and attributes: the store is ours alone

// `operations` is a fuse_lowlevel_ops; the callbacks expect a Session as user data.
void fill_operations(void* operations);

}  // namespace tfs::journal
