#include "lib/journal/ring.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "lib/base/page_bytes.h"
#include "lib/sys/fd.h"

using namespace tfs;
using namespace tfs::journal;

namespace {

struct Pipe {
  Pipe() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    read_end = sys::Fd(fds[0]);
    write_end = sys::Fd(fds[1]);
  }
  std::string read_all() const {
    std::string all;
    char piece[65536];
    for (ssize_t n; (n = ::read(read_end.get(), piece, sizeof piece)) > 0;) all.append(piece, static_cast<size_t>(n));
    return all;
  }
  sys::Fd read_end, write_end;
};

// A frame of two parts: so many bytes, and data that lie `at` bytes behind the beginning of a page.
struct Parts {
  Parts(size_t before, size_t size, size_t at) : head(before, 'h'), memory(size + at) {
    for (size_t i = 0; i < size; i++) memory.data()[at + i] = static_cast<std::byte>(i * 7 >> 3);
    parts[0] = as_bytes(head);
    parts[1] = ByteView(memory).subspan(at);
  }
  std::string text() const { return head + std::string(as_text(parts[1])); }
  std::string head;
  PageBytes memory;
  ByteView parts[2];
};

void passes_on(size_t before, size_t size, size_t at) {
  CAPTURE(before);
  CAPTURE(size);
  auto ring = std::make_unique<Ring>();
  Pipe pipe;
  ring->allow_direct();
  ring->attach(pipe.write_end.release(), {});
  Parts frame(before, size, at);
  std::string read;
  std::thread reader([&] { read = pipe.read_all(); });
  for (uint64_t seq = 1; seq <= 3; seq++) ring->append(frame.parts, seq);
  std::thread writer([&] { ring->write_out([](int) {}); });
  CHECK(ring->finish().ok());
  writer.join();
  ::close(ring->descriptor());
  reader.join();
  CHECK(read == frame.text() + frame.text() + frame.text());
}

}  // namespace

TEST_CASE("ring: frames of any size pass whole, wherever their data lie") {
  for (size_t before : {32u, 96u, 97u, 112u, 127u, 128u, 5000u}) {
    for (size_t size : {0u, 16u, 4096u, 32768u, 131072u, 1048576u}) passes_on(before, size, 96);
  }
}
