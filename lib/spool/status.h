// What a spool holds, for people and programs. Looks only; a writer and readers may be at work.
#pragma once

#include <cstdint>

#include "lib/spool/registry.h"

namespace tfs::spool {

struct EpochStatus {
  format::Epoch epoch;
  uint64_t first = 0, last = 0;  // numbers; 0 where there is no frame yet
  bool has_ended = false;
  uint64_t segments = 0, bytes = 0;
};

struct Lag {
  std::optional<uint64_t> frames;  // nothing where the reader is in another epoch than the spool's end
  uint64_t bytes = 0;
};

struct SpoolStatus {
  std::string path;
  bool is_writer_running = false;
  std::string pid;  // of the writer
  uint64_t segments = 0, bytes = 0;
  std::vector<EpochStatus> epochs;
  std::vector<ReaderState> readers;
  std::vector<Lag> lags;  // of each reader
};

Result<SpoolStatus> look_at(const Dir& dir);

std::string to_text(const SpoolStatus& status);
std::string to_json(const SpoolStatus& status);  // one object, one line
std::string readers_text(const SpoolStatus& status);
std::string readers_json(const SpoolStatus& status);

}  // namespace tfs::spool
