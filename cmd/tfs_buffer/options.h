// What the command line of tfs_buffer says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/cli/ready.h"
#include "lib/spool/writer.h"

namespace tfs::buffer {

struct Options {
  enum class Mode { kSpool, kRead, kStatus, kReaders, kDropReader } mode = Mode::kSpool;
  std::string path;

  // kSpool
  spool::Settings settings;
  std::vector<std::string> command;
  uint64_t timeout_ms = 0;
  uint64_t most_pause_ms = 30'000;
  bool has_output = true;
  cli::Ready ready;

  // kSpool, kRead
  enum class From { kDefault, kOldest, kNew, kPosition } from = From::kDefault;
  format::Position position;  // of kPosition

  // kRead
  bool follows = false;
  std::string reader;  // also of kDropReader

  bool is_json = false;
  bool is_done = false;  // --help or --version was printed
};

// Fills `options`; opens nothing.
Status parse(int argc, char** argv, Options& options);

}  // namespace tfs::buffer
