// tfs_dump: a stream as text, and back.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include "cmd/tfs_dump/options.h"
#include "lib/base/escape.h"
#include "lib/cli/main_guard.h"
#include "lib/dump/dumper.h"
#include "lib/dump/encoder.h"
#include "lib/sys/io.h"

namespace tfs {
namespace {

// As much output as is kept back while there is input at hand: one line more than this at most.
constexpr size_t kFlushBytes = size_t{256} << 10;

struct Input {
  sys::Fd fd;
  std::string name;
};

Result<Input> open_input(const std::string& file) {
  if (file == "-") return Input{sys::Fd(STDIN_FILENO), "standard input"};
  return Input{TFS_TRY(sys::open_at("dump.input.open", AT_FDCWD, file.c_str(), O_RDONLY)), escape(file)};
}

Error about(Error error, const std::string& object) {
  error.detail += " " + object;
  return error;
}

template <class Out>
Status flush(Out& out) {
  Status status = sys::write_all("dump.output.write", STDOUT_FILENO, std::as_bytes(std::span(out)));
  out.clear();
  if (!status) return about(status.error(), "standard output");
  return {};
}

// What `converter` makes of the input goes out when enough of it is there, and always before waiting for more input. What is
// good goes out before an error is returned.
template <class Out, class Converter>
Status convert(const Input& input, Converter converter) {
  Out out;
  while (true) {
    Result<bool> next = converter.next(out);
    bool is_wanting = !next || !*next;
    if (is_wanting || out.size() >= kFlushBytes) TFS_TRY(flush(out));
    if (!next) return std::move(next).error();
    if (!is_wanting) continue;
    Result<size_t> size = sys::read_some("dump.input.read", input.fd.get(), converter.space());
    if (!size) return about(size.error(), input.name);
    if (*size == 0) break;
    converter.filled(*size);
  }
  Status status = converter.finish(out);
  TFS_TRY(flush(out));
  return status;
}

Status run(int argc, char** argv) {
  Options options = TFS_TRY(parse_options(argc, argv));
  if (options.is_done) return {};
  if (options.encode && ::isatty(STDOUT_FILENO))
    return usage_error("the stream is not for a terminal: send it to a file or a pipe");
  Input input = TFS_TRY(open_input(options.file));
  if (options.encode) return convert<std::vector<std::byte>>(input, dump::Encoder());
  // The output is text for people and filters: where they have seen enough ("| head"), that is no failure to tell of.
  std::signal(SIGPIPE, SIG_DFL);
  return convert<std::string>(input, dump::Dumper(options.with_data));
}

}  // namespace
}  // namespace tfs

int main(int argc, char** argv) { return tfs::cli::guarded_main("tfs_dump", tfs::run, argc, argv); }
