// tfs_journal: opens the store, puts the mount over it, and lets its changes run out as the stream until it is unmounted.
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

#include "cmd/tfs_journal/options.h"
#include "lib/cli/main_guard.h"
#include "lib/control/mount.h"
#include "lib/journal/places.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"

namespace tfs {
namespace {

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

void raise_descriptor_limit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// From ourselves: the mount has gone. One of its own, for a second SIGTERM would end us at once.
constexpr int kMountGone = SIGURG;

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  return set;
}

// The way out: opened at the start, on SIGHUP, and, where it has a path, each second while nobody reads.
class Way {
 public:
  Way(const JournalOptions& options, const journal::Places& places, journal::Recorder& recorder, journal::Output& output)
      : options_(options), places_(places), recorder_(recorder), output_(output) {}

  // What cannot be written to is said before anything is mounted. A path where nobody reads yet is no error: the mount serves, and
  // the stream begins when someone comes.
  Status open() {
    Result<sys::Fd> fd =
        options_.output.empty() ? journal::standard_output(places_) : journal::open_output(options_.output, places_);
    if (fd) {
      opened_ = std::move(*fd);
    } else if (options_.output.empty() || (fd.error().sys_errno != ENXIO && fd.error().sys_errno != ECONNREFUSED)) {
      return std::move(fd).error();
    }
    return {};
  }

  // Behind the mount, so that one that fails leaves nothing in the output; before anything can change.
  void begin(bool store_is_empty) {
    if (opened_.is_open()) recorder_.attach(std::move(opened_), store_is_empty);
  }

  void reopen() {
    if (options_.output.empty()) return;
    if (Status status = open(); !status) sys::say(status.error());
    begin(false);
  }

  void tick() {
    if (output_.is_lost()) reopen();
  }

 private:
  const JournalOptions& options_;
  const journal::Places& places_;
  journal::Recorder& recorder_;
  journal::Output& output_;
  sys::Fd opened_;
};

// Until a signal, or until the mount has gone. The heartbeat beats under load, too: it is what lag is measured by.
void wait_for_end(const sigset_t& signals, Way& way, journal::Recorder& recorder, uint64_t heartbeat_ms) {
  timespec pause{static_cast<time_t>(heartbeat_ms / 1000), static_cast<long>(heartbeat_ms % 1000) * 1'000'000};
  while (true) {
    int signal = ::sigtimedwait(&signals, nullptr, &pause);
    if (signal == SIGINT || signal == SIGTERM || signal == kMountGone) return;
    if (signal == SIGHUP) way.reopen();
    way.tick();
    if (signal < 0) recorder.heartbeat();
  }
}

// From the second signal on there is no waiting for anyone.
void end_at_once_on_signals() {
  for (int signal : {SIGINT, SIGTERM}) ::signal(signal, [](int) { ::_exit(cli::kFailed); });
  sigset_t signals = set_of({SIGINT, SIGTERM});
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

Status show(const JournalOptions& options) {
  sys::Fd mount = TFS_TRY(control::open_mount(options.mountpoint));
  control::Status status = TFS_TRY(control::ask_status(mount.get(), options.mountpoint));
  return sys::write_all("journal.status.write", STDOUT_FILENO, as_bytes(options.is_json ? to_json(status) : to_text(status)));
}

Status run(int argc, char** argv) {
  JournalOptions options;
  TFS_TRY(parse_options(argc, argv, options));
  if (options.is_done) return {};
  if (options.asks_status) return show(options);
  journal::Places places = TFS_TRY(journal::find_places(options.store, options.mountpoint));
  raise_descriptor_limit();
  ::umask(0);
  sigset_t signals = set_of({SIGINT, SIGTERM, SIGHUP, kMountGone});
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // every thread's; the main thread waits for them

  std::unique_ptr<journal::Store> store = TFS_TRY(journal::Store::open(places.store));
  journal::NodeTable table(store->root_identity());
  store->set_table(table);
  journal::Output output([](const Error& why) {
    sys::warn("the reader of the stream is gone (" + why.message() + "): the mount goes on, its changes are not recorded");
  });
  journal::Recorder recorder(table, output, {host_name(), places.store});
  journal::Filesystem filesystem(*store, table, recorder);
  journal::Scanner scanner(*store, table, recorder, output);
  filesystem.set_scanner(scanner);
  journal::Control control(scanner, recorder, output, table);
  journal::Session session(filesystem, output, control);
  Way way(options, places, recorder, output);
  TFS_TRY(way.open());
  bool store_is_empty = store->is_empty();

  options.mount.mountpoint = places.mountpoint;
  options.mount.store = places.store;
  TFS_TRY(session.mount(options.mount));
  way.begin(store_is_empty);
  session.start([] { ::kill(::getpid(), kMountGone); });
  options.ready.announce();

  wait_for_end(signals, way, recorder, options.heartbeat_ms);
  end_at_once_on_signals();
  scanner.stop();
  TFS_TRY(session.stop());
  recorder.end();
  Status written = output.finish();
  if (!written) {
    sys::say("the stream ended before the mount did: mirrors need a scan");
    ::_exit(cli::kFailed);
  }
  ::_exit(cli::kOk);  // workers may still wait in read(2) for a connection that is cut off by this
}

}  // namespace
}  // namespace tfs

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_journal", tfs::run, argc, argv); }
