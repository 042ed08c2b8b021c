// The second socket, SOCKET.ctl: a line with a question, an answer, the end. Beside the data socket, so that nothing that is
// asked there can disturb a stream.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/loop/listener.h"
#include "lib/sys/unix_socket.h"

namespace tfs::fanout {

// What --status asks for: the words are the protocol.
enum class Question { kText, kJson };

std::string control_path(const std::string& socket);

// Asks the tfs_broadcast that serves `socket`; blocks for a few seconds at most.
Result<std::string> ask(const std::string& socket, Question question);

class Control {
 public:
  using Answer = std::function<std::string(Question)>;

  Control(loop::Loop& loop, sys::UnixListener listener, Answer answer);
  ~Control();

  Status start();
  void remove() { socket_.remove(); }

 private:
  struct Asker;
  void add(sys::Fd fd);
  void listen(Asker& asker);
  void reply(Asker& asker);
  void drop(Asker& asker);

  loop::Loop& loop_;
  sys::UnixListener socket_;
  Answer answer_;
  loop::Listener listener_;
  std::vector<std::unique_ptr<Asker>> askers_;
};

}  // namespace tfs::fanout
