// The hub between standard input and the clients of a socket. It moves bytes and sees to limits; what belongs to whom is the
// hub's business, how much is too much is Policy's.
//
// A turn: read what is there, give it to every client that can take it, see who is too far behind. Nothing waits for a timer:
// under load reads are large because the input piled up meanwhile, and when idle each frame goes out at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/fanout/control.h"
#include "lib/fanout/hub.h"
#include "lib/fanout/input.h"
#include "lib/fanout/lag_policy.h"
#include "lib/fanout/report.h"
#include "lib/loop/listener.h"

namespace tfs::fanout {

class Server {
 public:
  Server(loop::Loop& loop, const Policy& policy, sys::Fd input, sys::UnixListener clients, sys::UnixListener control);
  ~Server();

  // From here on the loop's run() serves, until input has ended and the clients have what there is.
  Status start();
  // What it came to, after run(): success only where the stream ended with END.
  const Status& outcome() const { return outcome_; }
  // The process has been told to end. The first time it goes on (true): the other end of the pipe heard it, too, and will end
  // the stream. The second time it stops, and outcome() says so.
  bool interrupt();

  Report report() const;

 private:
  struct Client;
  enum class State { kWaiting, kReading, kDraining };

  Status add_client(sys::Fd fd);
  void on_client(Client& client, unsigned events);
  void serve(Client& client);
  void discard_input_of(Client& client);
  void watch(Client& client);
  void cut_off(Client& client, const std::string& why);
  void remove_gone();

  void on_input();
  void end_input(Status why);
  void resume_input();
  void enforce_lag();
  void after_turn();

  loop::Loop& loop_;
  const Policy policy_;
  uint64_t wait_for_;
  Hub hub_;
  Input input_;
  sys::UnixListener socket_;
  loop::Listener listener_;
  Control control_;
  loop::Timer lag_tick_, drain_limit_;
  std::vector<std::unique_ptr<Client>> clients_;
  State state_ = State::kWaiting;
  Status outcome_;
  bool was_interrupted_ = false, is_anyone_gone_ = false;
  sys::WallTime since_;
  int64_t last_read_ms_;
  uint64_t joined_ = 0, cut_off_ = 0;
};

}  // namespace tfs::fanout
