// What serves the mount: all its parts, from the beginning to the end.
#pragma once

#include <string>

#include "cmd/tfs_journal/options.h"
#include "lib/journal/estate.h"
#include "lib/journal/handover.h"
#include "lib/journal/places.h"

namespace tfs {

// This program as it was started, for SIGUSR2: what stands at its path by then takes over.
struct Program {
  std::string path;
  char** argv;
};

// How a process comes to serve the mount.
enum class Beginning {
  kMounts,     // it makes it
  kTakesOver,  // from another program, which has left a Handover
  kTakesUp,    // from another process, which was killed and has left the Estate
};

struct Service {
  JournalOptions& options;
  const Program& program;
  journal::Places places;
  journal::Estate estate;
  std::optional<journal::Handover> handover;  // of kTakesOver
  int handover_fd = -1;
};

// The signals that both kinds of process wait for, blocked in every thread.
sigset_t awaited_signals();
void warn_of_loss(const journal::Ring& ring);

// Serves the mount until it is told to end, or the mount has gone. Returns what the process ends with: errors that come late are said
// already.
Result<int> serve(Service& service, Beginning beginning);

}  // namespace tfs
