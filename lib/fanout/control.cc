#include "lib/fanout/control.h"

#include <array>
#include <optional>

#include "lib/base/escape.h"
#include "lib/fanout/lag_policy.h"
#include "lib/sys/io.h"

namespace tfs::fanout {
namespace {

constexpr std::string_view kAskText = "status\n";
constexpr std::string_view kAskJson = "status json\n";
constexpr size_t kMaxQuestion = 64;
constexpr size_t kMaxAnswer = size_t{16} << 20;  // what ask() takes from whoever listens there
constexpr unsigned kAskSeconds = 5;

}  // namespace

std::string control_path(const std::string& socket) { return socket + ".ctl"; }

Result<std::string> ask(const std::string& socket, Question question) {
  Result<sys::Fd> fd = sys::connect_unix("fanout.ask.connect", control_path(socket));
  if (!fd) return Error{fd.error().kind, fd.error().sys_errno, "fanout.ask.connect", "no tfs_broadcast serves " + escape(socket)};
  sys::limit_waiting(fd->get(), kAskSeconds);
  std::string failed = "the tfs_broadcast at " + escape(socket) + " does not answer";
  Status sent = sys::write_all("fanout.ask.write", fd->get(), as_bytes(question == Question::kJson ? kAskJson : kAskText));
  if (!sent) return system_error("fanout.ask.write", sent.error().sys_errno, failed);
  std::string answer;
  std::array<std::byte, 16384> buffer;
  while (answer.size() < kMaxAnswer) {
    Result<size_t> n = sys::read_some("fanout.ask.read", fd->get(), buffer);
    if (!n) return system_error("fanout.ask.read", n.error().sys_errno, failed);
    if (n.value() == 0) break;
    answer += as_text(ByteView(buffer).first(n.value()));
  }
  if (answer.empty()) return Error{Kind::kSystem, 0, "fanout.ask.read", failed};
  return answer;
}

// One connection: collects the question, then sends the answer.
struct Control::Asker {
  sys::Fd fd;
  loop::Timer limit;
  std::optional<loop::Poll> poll;
  std::string question, answer;

  Asker(Control& control, sys::Fd f) : fd(std::move(f)), limit(control.loop_, [this, &control] { control.drop(*this); }) {}
};

Control::Control(loop::Loop& loop, sys::UnixListener listener, Answer answer)
    : loop_(loop),
      socket_(std::move(listener)),
      answer_(std::move(answer)),
      listener_(
          loop, socket_.fd(), [this](sys::Fd fd) { add(std::move(fd)); }, [](const Error&) {}) {}

Control::~Control() = default;

Status Control::start() { return listener_.start(); }

void Control::add(sys::Fd fd) {
  Asker& asker = *askers_.emplace_back(std::make_unique<Asker>(*this, std::move(fd)));
  if (askers_.size() >= kMaxAskers) listener_.pause();
  asker.limit.start(kAskerMs);
  Result<loop::Poll> poll = loop::Poll::open(
      loop_, asker.fd.get(), [this, &asker](unsigned events) { events& loop::kWritable ? reply(asker) : listen(asker); });
  if (!poll) return drop(asker);
  asker.poll.emplace(std::move(poll).value());
  if (!asker.poll->set(loop::kReadable)) drop(asker);
}

void Control::listen(Asker& asker) {
  std::array<std::byte, kMaxQuestion> buffer;
  auto n = sys::receive_some("fanout.control.receive", asker.fd.get(), buffer);
  if (n && !n.value()) return;  // nothing there after all
  if (!n || *n.value() == 0) return drop(asker);
  asker.question += as_text(ByteView(buffer).first(*n.value()));
  if (asker.question.size() > kMaxQuestion) return drop(asker);
  if (asker.question.find('\n') == std::string::npos) return;
  if (asker.question == kAskText) {
    asker.answer = answer_(Question::kText);
  } else if (asker.question == kAskJson) {
    asker.answer = answer_(Question::kJson);
  } else {
    asker.answer = "unknown question\n";
  }
  reply(asker);
}

void Control::reply(Asker& asker) {
  iovec piece{asker.answer.data(), asker.answer.size()};
  Result<size_t> n = sys::send_some("fanout.control.send", asker.fd.get(), {&piece, 1});
  if (!n) return drop(asker);
  asker.answer.erase(0, n.value());
  if (!asker.answer.empty() && asker.poll->set(loop::kWritable)) return;
  drop(asker);
}

void Control::drop(Asker& asker) {
  asker.poll.reset();
  sys::finish_unix(std::move(asker.fd));
  std::erase_if(askers_, [&asker](const auto& a) { return a.get() == &asker; });
  listener_.resume();
}

}  // namespace tfs::fanout
