// The version of libfuse's interface that is used; the oldest that Debian 12 has.
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>
