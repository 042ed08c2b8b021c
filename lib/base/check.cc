#include "lib/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tfs {

void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "bug: %s:%d: %s does not hold\n", file, line, what);
  std::abort();
}

}  // namespace tfs
