#include "lib/spool/file_io.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/unit/spool/fixture.h"

using namespace tfs;
using namespace tfs::spool;
using namespace tfs::spool::test;

namespace {

// Every digit is another one than in the other place.
PlaceMark place_of(uint64_t digit) {
  PlaceMark place;
  place.place = {digit * 0x1111'1111'1111'1111, digit * 0x1111'1111'1111'1111, {{}, digit * 1'111'111'111'111'111'111}};
  place.place.position.epoch.bytes.fill(static_cast<uint8_t>(digit * 0x11));
  return place;
}

}  // namespace

TEST_CASE("a place that is read while it is written is one that was written") {
  char name[] = "/var/tmp/tfs-place.XXXXXX";  // not in memory: ext4 shows a line in the middle of a write, tmpfs hardly ever
  sys::Fd file(::mkstemp(name));
  REQUIRE(file.is_open());
  ::unlink(name);
  const PlaceMark places[] = {place_of(3), place_of(8)};
  std::atomic<bool> is_over = false;
  std::string text = to_text(places[0]);
  REQUIRE(sys::pwrite_all("test.place.first", file.get(), as_bytes(text), 0).ok());
  std::thread writer([&] {
    std::string lines[] = {to_text(places[0]), to_text(places[1])};
    for (size_t i = 0; !is_over; i++) (void)::pwrite(file.get(), lines[i % 2].data(), kPlaceLine, 0);
  });
  size_t bad = 0;
  for (int i = 0; i < 100'000; i++) {
    std::optional<PlaceMark> place = read_place("test.place.read", file.get(), "place").value();
    bad += !place || std::find(std::begin(places), std::end(places), *place) == std::end(places);
  }
  is_over = true;
  writer.join();
  CHECK(bad == 0);
}

TEST_CASE("a file that holds anything else than a place tells nothing") {
  TempFolder folder;
  std::string line = to_text(place_of(1));
  for (const std::string& text : {line, std::string(), line.substr(1), line + "\n", line + line, std::string("dear\n")}) {
    std::ofstream(folder.path() + "/place", std::ios::binary) << text;
    sys::Fd file(::open((folder.path() + "/place").c_str(), O_RDONLY | O_CLOEXEC));
    CHECK(read_place("test.place.odd", file.get(), "place").value().has_value() == (text == line));
  }
}
