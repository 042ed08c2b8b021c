// The command line of tfs_dump(1).
#pragma once

#include <string>

#include "lib/base/result.h"

namespace tfs {

struct Options {
  std::string file = "-";  // "-": standard input
  bool with_data = true;
  bool encode = false;
  bool is_done = false;  // --help or --version was printed
};

Result<Options> parse_options(int argc, char** argv);

}  // namespace tfs
