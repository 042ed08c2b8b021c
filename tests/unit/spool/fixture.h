// A spool in a folder of its own, and an input that is a pipe, as after fork(2) of a shell.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "lib/spool/reader.h"
#include "lib/spool/writer.h"
#include "lib/sys/io.h"
#include "tests/support/frames.h"

namespace tfs::spool::test {

using tfs::test::append;
using tfs::test::Bytes;

class TempFolder {
 public:
  TempFolder() {
    // In memory where that is possible, for the disk takes its time to sync.
    char fast[] = "/dev/shm/tfs-spool.XXXXXX", slow[] = "/tmp/tfs-spool.XXXXXX";
    const char* name = ::mkdtemp(fast);
    if (name == nullptr) name = ::mkdtemp(slow);
    REQUIRE(name != nullptr);
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline format::Epoch epoch(uint8_t n) { return tfs::test::epoch_of(n); }

inline Bytes hello(uint8_t n) {
  format::Hello hello;
  hello.epoch = epoch(n);
  hello.host = "h";
  hello.store = "/s";
  return tfs::test::encode({}, hello);
}

// A frame whose content follows from its number.
inline Bytes frame(uint64_t seq, size_t size = 20) {
  Bytes data(size, static_cast<std::byte>(seq * 7));
  format::Write write;
  write.offset = seq;
  write.path = "f";
  write.data = data;
  return tfs::test::encode({seq, 5, 1}, write);
}

inline Bytes frames(uint64_t first, uint64_t last, size_t size = 20) {
  Bytes out;
  for (uint64_t seq = first; seq <= last; seq++) append(out, frame(seq, size));
  return out;
}

inline Bytes gap(uint64_t first, uint64_t last) { return tfs::test::encode({last, 0, 0}, format::Gap{first, {}}); }
inline Bytes end(uint64_t seq) { return tfs::test::encode({seq, 0, 0}, format::End{}); }

inline Bytes operator+(Bytes a, const Bytes& b) {
  append(a, b);
  return a;
}

// A pipe that holds whatever is put in, up to a megabyte, and that outlives writers.
class Pipe {
 public:
  Pipe() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    in_ = sys::Fd(fds[0]);
    out_ = sys::Fd(fds[1]);
    ::fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
  }
  int fd() const { return in_.get(); }
  void put(ByteView bytes) { REQUIRE(sys::write_all("test.pipe.put", out_.get(), bytes).ok()); }
  void close() { out_.reset(); }

 private:
  sys::Fd in_, out_;
};

class Spool {
 public:
  Spool() : dir_(Dir::make(folder_.path() + "/spool").value()) {}

  const Dir& dir() const { return dir_; }
  std::string path(const std::string& name) const { return dir_.path() + "/" + name; }
  Settings settings;

  // As after a kill: the writer is gone, what it had not done stays undone.
  void kill() { writer_.reset(); }
  Status open() {
    kill();
    Result<std::unique_ptr<Writer>> writer = Writer::open(dir_, settings);
    if (!writer) return std::move(writer).error();
    writer_ = std::move(*writer);
    return {};
  }
  Writer& writer() {
    if (!writer_) REQUIRE(open().ok());
    return *writer_;
  }

  // Takes what the pipe holds. kEnd where it is closed, else kNothingThere or kTooLittle.
  Result<Writer::Step> take(Intake& in, bool is_new, Beginning beginning = Beginning::kHello) {
    Writer::Step step = Writer::Step::kTook;
    if (is_new) step = TFS_TRY(writer().begin(in, beginning));
    while (step == Writer::Step::kTook) step = TFS_TRY(writer().step(in));
    return step;
  }

  // A whole input, through a pipe. True if it ended with END.
  Result<bool> feed(ByteView bytes, Beginning beginning = Beginning::kHello) {
    Pipe pipe;
    Intake in(pipe.fd());
    bool is_new = true;
    while (!bytes.empty()) {
      ByteView part = bytes.first(std::min(bytes.size(), size_t{60'000}));
      bytes = bytes.subspan(part.size());
      pipe.put(part);
      TFS_TRY(take(in, is_new, beginning));
      is_new = false;
    }
    pipe.close();
    TFS_TRY(take(in, is_new, beginning));
    return writer().finish_input();
  }

  // All that a reader gets, to where the spool ends for now.
  static Result<Bytes> read_all(Reader& reader) {
    Bytes all;
    while (true) {
      std::optional<Stretch> stretch = TFS_TRY(reader.next());
      if (!stretch) return all;
      Bytes part = stretch->file < 0 ? tfs::test::copy_of(stretch->made) : Bytes(stretch->size);
      if (stretch->file >= 0) {
        REQUIRE(::pread(stretch->file, part.data(), part.size(), static_cast<off_t>(stretch->offset)) ==
                static_cast<ssize_t>(part.size()));
      }
      append(all, part);
    }
  }
  Result<Bytes> read() const {
    Reader reader = TFS_TRY(Reader::from_segment(dir_));
    return read_all(reader);
  }
  Result<Bytes> read_from(const format::Position& position) const {
    Reader reader = TFS_TRY(Reader::from_position(dir_, position));
    return read_all(reader);
  }

  std::vector<Segment> listed() const { return dir_.segments().value(); }
  std::vector<std::string> segments() const {
    std::vector<std::string> names;
    for (const Segment& s : listed()) names.push_back(to_text(s.name));
    return names;
  }

  Bytes load(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(file)), {});
    return tfs::test::copy_of(as_bytes(text));
  }
  void store(const std::string& name, ByteView bytes) const {
    ::chmod(path(name).c_str(), 0600);
    std::ofstream(path(name), std::ios::binary) << as_text(bytes);
  }

 private:
  TempFolder folder_;
  Dir dir_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace tfs::spool::test
