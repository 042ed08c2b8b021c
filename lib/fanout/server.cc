#include "lib/fanout/server.h"

#include <fmt/format.h>

#include <utility>

#include "lib/base/escape.h"
#include "lib/sys/io.h"
#include "lib/sys/message.h"
#include "lib/sys/process.h"

namespace tfs::fanout {

struct Server::Client {
  Hub::Cursor cursor;
  sys::Fd fd;
  sys::Peer peer;
  sys::WallTime since = sys::wall_time();
  std::optional<loop::Poll> poll;
  uint64_t discarded = 0;
  bool is_full = false;    // the socket: it takes more when it says that it is writable
  bool is_silent = false;  // it has shut its side down, or is no longer listened to
  bool is_odd = false;     // it has sent urgent data while silent: no watching for a hang-up, sending will show that
  bool is_gone = false;

  Client(Hub& hub, sys::Fd f) : cursor(hub, sys::monotonic_ms()), fd(std::move(f)), peer(sys::peer_of(fd.get())) {}
};

Server::Server(loop::Loop& loop, const Policy& policy, sys::Fd input, sys::UnixListener clients, sys::UnixListener control)
    : loop_(loop),
      policy_(policy),
      wait_for_(policy.wait_for),
      hub_(ring_size(policy)),
      input_(loop, std::move(input), [this] { on_input(); }),
      socket_(std::move(clients)),
      listener_(
          loop, socket_.fd(),
          [this](sys::Fd fd) {
            if (Status status = add_client(std::move(fd)); !status) sys::warn(status.error().message());
            after_turn();  // it may be gone already
          },
          [](const Error& error) { sys::warn(error.message() + "; trying again"); }),
      control_(loop, std::move(control),
               [this](Question question) { return question == Question::kJson ? to_json(report()) : to_text(report()); }),
      lag_tick_(loop,
                [this] {
                  enforce_lag();
                  after_turn();
                }),
      drain_limit_(loop,
                   [this] {
                     for (auto& client : clients_) cut_off(*client, "it has not taken the rest within the time of --drain");
                     after_turn();
                   }),
      since_(sys::wall_time()),
      last_read_ms_(sys::monotonic_ms()) {}

Server::~Server() = default;

Status Server::start() {
  TFS_TRY(input_.start());
  TFS_TRY(listener_.start());
  TFS_TRY(control_.start());
  resume_input();
  return {};
}

bool Server::interrupt() {
  if (!std::exchange(was_interrupted_, true)) {
    wait_for_ = 0;
    resume_input();
    return true;
  }
  outcome_ = Error{Kind::kSystem, 0, "fanout.interrupt", "stopped by a signal"};
  loop_.stop();
  return false;
}

// --- clients

Status Server::add_client(sys::Fd fd) {
  sys::widen_send_buffer(fd.get(), kSendBuffer);
  auto client = std::make_unique<Client>(hub_, std::move(fd));
  Client& c = *client;
  c.poll.emplace(TFS_TRY(loop::Poll::open(loop_, c.fd.get(), [this, &c](unsigned events) { on_client(c, events); })));
  clients_.push_back(std::move(client));
  joined_ += 1;
  if (clients_.size() >= policy_.max_clients) listener_.pause();
  serve(c);
  resume_input();
  return {};
}

void Server::on_client(Client& client, unsigned events) {
  if (events & loop::kReadable) discard_input_of(client);
  if (events & loop::kHangup) (sys::is_hung_up(client.fd.get()) ? client.is_gone : client.is_odd) = true;
  if (events & loop::kWritable) client.is_full = false;
  serve(client);
  resume_input();
  after_turn();
}

void Server::serve(Client& client) {
  while (!client.is_gone && !client.is_full) {
    std::array<iovec, std::tuple_size_v<Pieces>> parts;
    size_t count = 0, size = 0;
    for (ByteView piece : client.cursor.pending()) {
      if (piece.empty()) continue;
      parts[count++] = {const_cast<std::byte*>(piece.data()), piece.size()};
      size += piece.size();
    }
    if (size == 0) {
      if (state_ == State::kDraining) client.is_gone = true;
      break;
    }
    Result<size_t> sent = sys::send_some("fanout.client.send", client.fd.get(), {parts.data(), count});
    if (!sent) {  // it has left
      client.is_gone = true;
      break;
    }
    client.cursor.taken(sent.value());
    client.is_full = sent.value() < size;
  }
  watch(client);
}

void Server::discard_input_of(Client& client) {
  std::array<std::byte, kDiscardPerTurn> scratch;
  auto got = sys::receive_some("fanout.client.receive", client.fd.get(), scratch);
  if (!got || (got.value() && *got.value() == 0 && sys::is_hung_up(client.fd.get()))) {
    client.is_gone = true;
  } else if (got.value()) {
    client.discarded += *got.value();
    client.is_silent = *got.value() == 0 || client.discarded > kDiscardLimit;
  }
}

void Server::watch(Client& client) {
  if (client.is_gone) {
    is_anyone_gone_ = true;
    return;
  }
  unsigned events = client.is_odd ? 0 : client.is_silent ? unsigned{loop::kHangup} : unsigned{loop::kReadable};
  if (client.is_full) {
    events |= loop::kWritable;
    if (policy_.max_lag_ms > 0 && !lag_tick_.is_active()) {
      uint64_t tick = tick_ms(policy_.max_lag_ms);
      lag_tick_.start(tick, tick);
    }
  }
  if (!client.poll->set(events)) client.is_gone = is_anyone_gone_ = true;
}

void Server::cut_off(Client& client, const std::string& why) {
  if (std::exchange(client.is_gone, true)) return;
  is_anyone_gone_ = true;
  cut_off_ += 1;
  sys::warn(fmt::format("client cut off (process {}, user {}): {}", client.peer.pid, client.peer.uid, why));
}

// Not where a client is found to be gone, which is in the middle of a walk over all.
void Server::remove_gone() {
  if (!std::exchange(is_anyone_gone_, false)) return;
  std::erase_if(clients_, [](const std::unique_ptr<Client>& client) {
    if (!client->is_gone) return false;
    client->poll.reset();
    sys::finish_unix(std::move(client->fd));
    return true;
  });
  if (clients_.size() < policy_.max_clients && state_ != State::kDraining) listener_.resume();
}

// --- input

void Server::on_input() {
  std::span<std::byte> space = hub_.space();
  if (space.empty()) return input_.pause();
  Result<std::optional<size_t>> got = input_.read(space.first(std::min(space.size(), kChunk)));
  if (!got) {
    end_input(std::move(got).error());
  } else if (!got.value()) {
    return;
  } else if (*got.value() == 0) {
    end_input(hub_.finish());
  } else {
    last_read_ms_ = sys::monotonic_ms();
    Status status = hub_.filled(*got.value(), last_read_ms_);
    for (auto& client : clients_) serve(*client);
    if (!status) {
      end_input(std::move(status).error());
    } else {
      enforce_lag();
      if (hub_.space().empty()) input_.pause();
    }
  }
  after_turn();
}

// Reading goes on once there is room for a good piece; at the beginning, once the clients that are waited for are there.
void Server::resume_input() {
  if (state_ == State::kDraining || !input_.is_paused()) return;
  if (state_ == State::kWaiting && clients_.size() < wait_for_) return;
  state_ = State::kReading;
  if (hub_.free_bytes() >= kResume) input_.resume();
}

// Nothing more will come: who is connected gets what there is.
void Server::end_input(Status why) {
  outcome_ = std::move(why);
  input_.close();
  state_ = State::kDraining;
  listener_.accept_last();  // they came while the stream was still running
  socket_.remove();
  for (auto& client : clients_) serve(*client);
  drain_limit_.start(policy_.drain_ms);
}

void Server::enforce_lag() {
  if (policy_.max_lag_bytes == 0 && policy_.max_lag_ms == 0) return;
  int64_t now = sys::monotonic_ms();
  bool is_anyone_behind = false;
  for (auto& client : clients_) {
    if (client->is_gone) continue;
    uint64_t bytes = client->cursor.behind(), ms = client->cursor.waiting_ms(now);
    if (policy_.max_lag_bytes > 0 && bytes > policy_.max_lag_bytes) {
      cut_off(*client, fmt::format("{} bytes behind, --max-lag is {}", bytes, policy_.max_lag_bytes));
    } else if (policy_.max_lag_ms > 0 && ms > policy_.max_lag_ms) {
      cut_off(*client, fmt::format("behind for {} ms, --max-lag is {} ms", ms, policy_.max_lag_ms));
    } else {
      is_anyone_behind = is_anyone_behind || bytes > 0;
    }
  }
  if (!is_anyone_behind) lag_tick_.stop();
}

void Server::after_turn() {
  if (is_anyone_gone_) {
    remove_gone();
    resume_input();  // it may have been the one that was waited for
  }
  if (state_ == State::kDraining && clients_.empty()) loop_.stop();
}

Report Server::report() const {
  int64_t now = sys::monotonic_ms();
  Report r;
  r.socket = socket_.path();
  r.pid = sys::own_pid();
  r.state = state_ == State::kDraining  ? "draining"
            : state_ == State::kWaiting ? "waiting for clients"
            : input_.is_paused()        ? "held back by a client"
                                        : "reading";
  r.since = since_;
  r.frames = hub_.frames();
  r.bytes = hub_.bytes();
  r.last_seq = hub_.last_seq();
  r.idle_ms = static_cast<uint64_t>(now - last_read_ms_);
  r.joined = joined_;
  r.cut_off = cut_off_;
  r.ring_bytes = hub_.ring_bytes();
  std::vector<const Hub::Cursor*> cursors;
  for (const auto& client : clients_) cursors.push_back(&client->cursor);
  std::vector<Lag> lags = hub_.lags(cursors, now);
  for (size_t i = 0; i < clients_.size(); i++) {
    const Client& c = *clients_[i];
    r.clients.push_back({c.peer, c.since, lags[i], sys::unread_memory(c.fd.get())});
  }
  return r;
}

}  // namespace tfs::fanout
