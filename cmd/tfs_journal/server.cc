#include "cmd/tfs_journal/server.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>

#include "lib/cli/main_guard.h"
#include "lib/journal/keeper.h"
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

  // Behind the mount, so that one that fails leaves nothing in the output; before anything can change. False where nobody reads.
  bool begin(bool store_is_empty) {
    if (!opened_.is_open()) return false;
    recorder_.attach(std::move(opened_), store_is_empty);
    return true;
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

constexpr std::chrono::seconds kPatience(5);

// All that serves the mount. Its parts know each other, and must stay where they are.
struct Server {
  Server(journal::Estate& estate, std::unique_ptr<journal::Store> opened, const std::string& shown_store)
      : store(std::move(opened)),
        table(store->root_identity(), estate.table_memory()),
        output(estate.ring()),
        recorder(table, output, {host_name(), shown_store}),
        filesystem(*store, table, recorder),
        scanner(*store, table, recorder, output, estate.unfinished()),
        control(scanner, recorder, output, table),
        session(filesystem, output, control, estate) {
    store->set_table(table, estate);
    filesystem.set_scanner(scanner);
    if (!estate.is_shared()) output.write_here([&estate](int) { warn_of_loss(estate.ring()); });
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
Status leave(Server& server, Service& service) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (server.output.backlog() > 0 && std::chrono::steady_clock::now() < deadline) ::usleep(1000);
  if (server.output.backlog() > 0)
    return Error{Kind::kSystem, 0, "journal.handover.backlog", "the reader of the stream is too slow"};
  server.output.drain();
  if (server.scanner.is_running()) return Error{Kind::kSystem, 0, "journal.handover.scan", "a scan is running"};
  server.store->drop_cache();
  std::span<const std::byte> init = server.session.init_request();
  journal::Handover what{service.places.store,       service.places.mountpoint,        server.recorder.position(),
                         {init.begin(), init.end()}, server.session.fuse_descriptor(), service.places.lock.get(),
                         server.output.descriptor()};
  sys::Fd handover = TFS_TRY(journal::write_handover(what, server.table, *server.store));
  journal::let_inherit(handover.get(), what, *server.store);
  if (service.options.keeps) {
    service.estate.handover() = handover.release();
    ::_exit(cli::kOk);
  }
  return journal::become_successor(service.program.path, service.program.argv, handover.get());
}

// Returns where it could not be done, and nothing has changed.
Status hand_over(Server& server, Service& service) {
  if (server.session.uses_uring())
    return Error{Kind::kUsage, 0, "journal.handover.uring", "with -o io_uring the mount cannot be handed over"};
  // A keeper has asked already.
  if (!service.options.keeps) TFS_TRY(journal::ask_successor(service.program.path, service.program.argv));
  if (!server.session.pause(kPatience)) {
    return Error{Kind::kSystem, 0, "journal.handover.busy", "requests of programs are under way that do not end"};
  }
  Status status = leave(server, service);
  server.session.unpause();
  return status;
}

// The next signal that is meant for us, or none for so long.
int next_signal(const sigset_t& signals, const timespec& pause) {
  siginfo_t info;
  int signal = ::sigtimedwait(&signals, &info, &pause);
  return signal < 0 || journal::Keeper::is_for_us(info.si_pid) ? signal : SIGCHLD;
}

// Until a signal, or until the mount has gone. The heartbeat beats under load, too: it is what lag is measured by.
void wait_for_end(Server& server, Way& way, Service& service) {
  sigset_t signals = awaited_signals();
  uint64_t ms = service.options.heartbeat_ms;
  timespec pause{static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000) * 1'000'000};
  while (true) {
    int signal = next_signal(signals, pause);
    if (signal == SIGINT || signal == SIGTERM || signal == kMountGone) return;
    if (signal == journal::Keeper::kKeeperGone && service.options.keeps) return journal::Keeper::wait_until_alone();
    if (signal == SIGHUP) way.reopen();
    if (signal == SIGUSR2) {
      Status status = hand_over(server, service);
      if (!status) sys::warn(status.error().message() + ": this tfs_journal goes on");
    }
    way.tick();
    if (signal < 0) server.recorder.heartbeat();
  }
}

// From the second signal on there is no waiting for anyone.
void end_at_once_on_signals() {
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    if (journal::Keeper::is_for_us(info->si_pid)) ::_exit(cli::kFailed);
  };
  for (int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
  sigset_t signals = set_of({SIGINT, SIGTERM});
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

Status mount(Server& server, Way& way, Service& service) {
  TFS_TRY(way.open());
  bool store_is_empty = server.store->is_empty();
  TFS_TRY(server.session.mount(service.options.mount));
  if (way.begin(store_is_empty) && store_is_empty) server.filesystem.put_root();
  return {};
}

Status take_over(Server& server, Service& service) {
  const journal::Handover& what = *service.handover;
  TFS_TRY(journal::read_nodes(service.handover_fd, server.table, *server.store));
  ::close(service.handover_fd);
  TFS_TRY(server.session.take_over(service.options.mount, sys::Fd(what.fuse), what.init));
  server.recorder.take_over(what.position, sys::Fd(what.output));
  sys::say("took over at " + to_text(what.position));
  return {};
}

// The stream goes on in its epoch where each change that was begun will be told; else with another one, and mirrors have to be scanned.
Status take_up(Server& server, Service& service) {
  journal::Estate& estate = service.estate;
  journal::Ring& ring = estate.ring();
  const int kept[] = {estate.fuse(), service.places.lock.get(), ring.descriptor()};
  server.store->take_up(kept);
  server.table.finish_taking_up();
  TFS_TRY(server.session.take_up(service.options.mount));
  journal::Redo redo(*server.store, server.table);
  bool goes_on = ring.has_begun() && estate.unfinished() == 0 && !server.session.has_doubtful(redo);
  estate.unfinished() = 0;
  server.recorder.take_up(ring.position(), goes_on);
  server.session.do_again(redo);
  std::string where = "at " + to_text(server.recorder.position());
  if (!goes_on) where = "with a new epoch, for which mirrors need a scan, " + where;
  sys::say("goes on " + (server.output.is_lost() ? "without a reader" : where));
  return {};
}

Status begin(Server& server, Way& way, Service& service, Beginning beginning) {
  switch (beginning) {
    case Beginning::kMounts: return mount(server, way, service);
    case Beginning::kTakesOver: return take_over(server, service);
    case Beginning::kTakesUp: return take_up(server, service);
  }
  return {};
}

}  // namespace

sigset_t awaited_signals() { return set_of({SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGURG, SIGCHLD}); }

void warn_of_loss(const journal::Ring& ring) {
  sys::warn("the reader of the stream is gone (" + ring.why_lost().message() +
            "): the mount goes on, its changes are not recorded");
}

Result<int> serve(Service& service, Beginning beginning) {
  raise_descriptor_limit();
  ::umask(0);
  Server server(service.estate, TFS_TRY(journal::Store::open(service.places.store)), service.places.store);
  Way way(service.options, service.places, server.recorder, server.output);
  TFS_TRY(begin(server, way, service, beginning));
  server.session.start([] { ::kill(::getpid(), kMountGone); });
  if (beginning == Beginning::kMounts) {
    server.session.wait_until_asked();
    service.options.keeps ? ::kill(::getppid(), journal::Keeper::kServes), void() : service.options.ready.announce();
  }

  wait_for_end(server, way, service);
  if (journal::Keeper::is_alone()) server.output.write_here([&](int) { warn_of_loss(service.estate.ring()); });
  end_at_once_on_signals();
  server.scanner.stop();
  TFS_TRY(server.session.stop());
  server.recorder.end();
  Status written = server.output.finish();
  if (!written) sys::say("the stream ended before the mount did: mirrors need a scan");
  ::_exit(written ? cli::kOk : cli::kFailed);  // workers may still wait in read(2) for a connection that is cut off by this
}

}  // namespace tfs
