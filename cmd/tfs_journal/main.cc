// tfs_journal: opens the store, puts the mount over it, and lets its changes run out as the stream until it is unmounted.
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <initializer_list>

#include "cmd/tfs_journal/options.h"
#include "lib/cli/main_guard.h"
#include "lib/control/mount.h"
#include "lib/journal/handover.h"
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

// This program as it was started, for SIGUSR2: what stands at its path by then takes over.
struct Program {
  std::string path;
  char** argv;
};

std::string own_path() {
  char path[PATH_MAX];
  ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : std::string();
}

constexpr std::chrono::seconds kPatience(5);

// All that serves the mount. Its parts know each other, and must stay where they are.
struct Server {
  Server(std::unique_ptr<journal::Store> opened, const std::string& shown_store)
      : store(std::move(opened)),
        table(store->root_identity()),
        output([](const Error& why) {
          sys::warn("the reader of the stream is gone (" + why.message() + "): the mount goes on, its changes are not recorded");
        }),
        recorder(table, output, {host_name(), shown_store}),
        filesystem(*store, table, recorder),
        scanner(*store, table, recorder, output),
        control(scanner, recorder, output, table),
        session(filesystem, output, control) {
    store->set_table(table);
    filesystem.set_scanner(scanner);
  }

  std::unique_ptr<journal::Store> store;
  journal::NodeTable table;
  journal::Output output;
  journal::Recorder recorder;
  journal::Filesystem filesystem;
  journal::Scanner scanner;
  journal::Control control;
  journal::Session session;
};

// With the mount at rest.
Status become_successor(Server& server, const journal::Places& places, const Program& program) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (server.output.backlog() > 0 && std::chrono::steady_clock::now() < deadline) ::usleep(1000);
  if (server.output.backlog() > 0)
    return Error{Kind::kSystem, 0, "journal.handover.backlog", "the reader of the stream is too slow"};
  server.output.drain();
  if (server.scanner.is_running()) return Error{Kind::kSystem, 0, "journal.handover.scan", "a scan is running"};
  server.store->drop_cache();
  std::span<const std::byte> init = server.session.init_request();
  journal::Handover what{places.store,
                         places.mountpoint,
                         server.recorder.position(),
                         {init.begin(), init.end()},
                         server.session.fuse_descriptor(),
                         places.lock.get(),
                         server.output.descriptor()};
  sys::Fd handover = TFS_TRY(journal::write_handover(what, server.table, *server.store));
  return journal::become_successor(program.path, program.argv, handover.get(), what, *server.store);
}

// Returns where it could not be done, and nothing has changed.
Status hand_over(Server& server, const journal::Places& places, const Program& program) {
  TFS_TRY(journal::ask_successor(program.path, program.argv));
  if (!server.session.pause(kPatience)) {
    return Error{Kind::kSystem, 0, "journal.handover.busy", "requests of programs are under way that do not end"};
  }
  Status status = become_successor(server, places, program);
  server.session.unpause();
  return status;
}

// Until a signal, or until the mount has gone. The heartbeat beats under load, too: it is what lag is measured by.
void wait_for_end(const sigset_t& signals, Way& way, Server& server, uint64_t heartbeat_ms,
                  const std::function<void()>& hand_over) {
  timespec pause{static_cast<time_t>(heartbeat_ms / 1000), static_cast<long>(heartbeat_ms % 1000) * 1'000'000};
  while (true) {
    int signal = ::sigtimedwait(&signals, nullptr, &pause);
    if (signal == SIGINT || signal == SIGTERM || signal == kMountGone) return;
    if (signal == SIGHUP) way.reopen();
    if (signal == SIGUSR2) hand_over();
    way.tick();
    if (signal < 0) server.recorder.heartbeat();
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

Status mount(Server& server, Way& way, JournalOptions& options) {
  TFS_TRY(way.open());
  bool store_is_empty = server.store->is_empty();
  TFS_TRY(server.session.mount(options.mount));
  way.begin(store_is_empty);
  return {};
}

Status take_over(Server& server, const journal::Handover& what, int handover, const JournalOptions& options) {
  TFS_TRY(journal::read_nodes(handover, server.table, *server.store));
  ::close(handover);
  TFS_TRY(server.session.take_over(options.mount, sys::Fd(what.fuse), what.init));
  server.recorder.take_over(what.position, sys::Fd(what.output));
  sys::say("took over at " + to_text(what.position));
  return {};
}

Status serve(JournalOptions& options, const Program& program, std::optional<journal::HandoverRequest> handover) {
  std::optional<journal::Handover> what;
  journal::Places places;
  if (handover) {
    journal::keep_descriptors_to_ourselves();
    what = TFS_TRY(journal::read_handover(handover->fd));
    places = {what->store, what->mountpoint, sys::Fd(what->lock)};
  } else {
    places = TFS_TRY(journal::find_places(options.store, options.mountpoint));
  }
  raise_descriptor_limit();
  ::umask(0);
  sigset_t signals = set_of({SIGINT, SIGTERM, SIGHUP, SIGUSR2, kMountGone});
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // every thread's; the main thread waits for them

  Server server(TFS_TRY(journal::Store::open(places.store)), places.store);
  Way way(options, places, server.recorder, server.output);
  options.mount.mountpoint = places.mountpoint;
  options.mount.store = places.store;
  TFS_TRY(what ? take_over(server, *what, handover->fd, options) : mount(server, way, options));
  server.session.start([] { ::kill(::getpid(), kMountGone); });
  if (!what) options.ready.announce();

  wait_for_end(signals, way, server, options.heartbeat_ms, [&] {
    Status status = hand_over(server, places, program);
    if (!status) sys::warn(status.error().message() + ": this tfs_journal goes on");
  });
  end_at_once_on_signals();
  server.scanner.stop();
  TFS_TRY(server.session.stop());
  server.recorder.end();
  Status written = server.output.finish();
  if (!written) {
    sys::say("the stream ended before the mount did: mirrors need a scan");
    ::_exit(cli::kFailed);
  }
  ::_exit(cli::kOk);  // workers may still wait in read(2) for a connection that is cut off by this
}

Status run(int argc, char** argv) {
  Program program{own_path(), argv};
  std::optional<journal::HandoverRequest> handover = TFS_TRY(journal::handover_request());
  JournalOptions options;
  options.takes_over = handover.has_value();
  TFS_TRY(parse_options(argc, argv, options));
  if (options.is_done || (handover && handover->is_check)) return {};
  if (options.asks_status) return show(options);
  return serve(options, program, handover);
}

}  // namespace
}  // namespace tfs

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_journal", tfs::run, argc, argv); }
