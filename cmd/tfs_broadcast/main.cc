// tfs_broadcast: the stream on standard input, to every client of a UNIX socket.

#include <csignal>
#include <cstdio>

#include "cmd/tfs_broadcast/options.h"
#include "lib/base/escape.h"
#include "lib/cli/main_guard.h"
#include "lib/fanout/server.h"
#include "lib/loop/signal_watch.h"
#include "lib/sys/message.h"
#include "lib/sys/process.h"

namespace tfs::broadcast {
namespace {

constexpr int kStandardInput = 0;
constexpr size_t kOtherDescriptors = 64;  // standard ones, the loop's, the listeners', those who ask for the status

Status print_status(const Options& options) {
  auto question = options.is_json ? fanout::Question::kJson : fanout::Question::kText;
  std::string answer = TFS_TRY(fanout::ask(options.socket, question));
  std::fputs(answer.c_str(), stdout);  // right here: no stream follows
  return {};
}

Status serve(Options& options) {
  if (sys::is_terminal(kStandardInput)) return usage_error("standard input is a terminal: give it a stream (see --help)");
  sys::allow_open_files(options.policy.max_clients + kOtherDescriptors);
  sys::UnixListener clients = TFS_TRY(sys::UnixListener::serve("broadcast.serve.bind", options.socket, options.mode));
  sys::UnixListener control =
      TFS_TRY(sys::UnixListener::serve("broadcast.control.bind", fanout::control_path(options.socket), options.mode));

  loop::Loop loop = TFS_TRY(loop::Loop::open());
  fanout::Server server(loop, options.policy, sys::Fd(kStandardInput), std::move(clients), std::move(control));
  loop::SignalWatch signals = TFS_TRY(loop::SignalWatch::open(loop, {SIGINT, SIGTERM, SIGHUP}, [&server](int number) {
    if (number == SIGHUP) return;  // a terminal that goes away is for the source to judge
    if (server.interrupt()) sys::say("going on until standard input ends; a second signal stops at once");
  }));
  TFS_TRY(server.start());
  options.ready.announce();
  loop.run();
  return server.outcome();
}

Status run(int argc, char** argv) {
  Options options;
  TFS_TRY(parse(argc, argv, options));
  if (options.is_done) return {};
  return options.is_status ? print_status(options) : serve(options);
}

}  // namespace
}  // namespace tfs::broadcast

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_broadcast", tfs::broadcast::run, argc, argv); }
