// tfs_journal: opens the store, puts the mount over it, and lets its changes run out as the stream until it is unmounted.
#include <limits.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "cmd/tfs_journal/options.h"
#include "cmd/tfs_journal/server.h"
#include "lib/cli/main_guard.h"
#include "lib/control/mount.h"
#include "lib/journal/keeper.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs {
namespace {

std::string own_path() {
  char path[PATH_MAX];
  ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : std::string();
}

Status show(const JournalOptions& options) {
  sys::Fd mount = TFS_TRY(control::open_mount(options.mountpoint));
  control::Status status = TFS_TRY(control::ask_status(mount.get(), options.mountpoint));
  std::string text = TFS_TRY(control::status_text(mount.get(), options.mountpoint, status, options.is_json));
  return sys::write_all("journal.status.write", STDOUT_FILENO, as_bytes(text));
}

// What the process that serves ends with.
int ending(Result<int> served) {
  if (served) return *served;
  sys::say(served.error());
  return cli::exit_code(served.error().kind);
}

// Nobody serves it, and the kernel is told first: else who unmounts could wait for an answer.
void give_up(Service& service) {
  const journal::Places& places = service.places;
  ::close(service.estate.fuse());
  if (::umount2(places.mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) journal::unmount_as_user(places.mountpoint);
}

Result<int> keep(Service& service, Beginning beginning) {
  const Program& program = service.program;
  journal::Keeper keeper(
      service.estate,
      {[&](bool takes_up) { return ending(serve(service, takes_up ? Beginning::kTakesUp : beginning)); },
       [&] { service.options.ready.announce(); }, [&] { warn_of_loss(service.estate.ring()); },
       [&] { return journal::ask_successor(program.path, program.argv); },
       [&](int fd) -> Status { return journal::become_successor(program.path, program.argv, fd); }, [&] { give_up(service); }});
  return keeper.run(awaited_signals());
}

Status run_service(JournalOptions& options, const Program& program, std::optional<journal::HandoverRequest> request) {
  std::optional<journal::Handover> handover;
  journal::Places places;
  if (request) {
    journal::keep_descriptors_to_ourselves();
    handover = TFS_TRY(journal::read_handover(request->fd));
    places = {handover->store, handover->mountpoint, sys::Fd(handover->lock)};
  } else {
    places = TFS_TRY(journal::find_places(options.store, options.mountpoint));
  }
  options.mount.mountpoint = places.mountpoint;
  options.mount.store = places.store;
  sigset_t signals = awaited_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // every thread's; the main thread waits for them
  Service service{options,
                  program,
                  std::move(places),
                  TFS_TRY(journal::Estate::make(options.keeps)),
                  std::move(handover),
                  request ? request->fd : -1};
  Beginning beginning = request ? Beginning::kTakesOver : Beginning::kMounts;
  int code = TFS_TRY(options.keeps ? keep(service, beginning) : serve(service, beginning));
  ::_exit(code);
}

Status run(int argc, char** argv) {
  Program program{own_path(), argv};
  std::optional<journal::HandoverRequest> request = TFS_TRY(journal::handover_request());
  JournalOptions options;
  options.takes_over = request.has_value();
  TFS_TRY(parse_options(argc, argv, options));
  if (options.is_done || (request && request->is_check)) return {};
  if (options.asks_status) return show(options);
  return run_service(options, program, request);
}

}  // namespace
}  // namespace tfs

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_journal", tfs::run, argc, argv); }
