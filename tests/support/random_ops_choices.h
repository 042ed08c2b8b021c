// Which names, sizes and modes a Worker chooses. The name space is small on purpose: renames over something, exchanges,
// hard links and removals by several threads must really meet.
#pragma once

#include <cstdint>

#include "tests/support/random_ops_worker.h"

namespace tfs::support {

inline const std::vector<std::string>& odd_names() {
  static const std::vector<std::string> names = {
      std::string(255, 'n'),
      std::string(254, '\xfe') + "z",
      "two words",
      " ",
      "-rf",
      "--",
      "new\nline",
      "quote'\"",
      "back\\n",
      "~",
      "\xff\xfe\x80",
      "f\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x8e\x82",
      "...",
      ".hidden",
      "*?[a]",
      "$(x)",
      "tab\t",
      "\x01\x7f",
  };
  return names;
}

// Directories are mostly a to c, other objects mostly d to f: where any name was as likely, most paths would lead
// through a file.
inline std::string Worker::name() {
  if (rng_.chance(5)) return odd_names()[rng_.below(odd_names().size())];
  if (rng_.chance(25)) return std::string(1, directory_letter());
  return std::string(1, static_cast<char>('d' + rng_.below(3)));
}

// What stands before the last name of a path.
inline std::string Worker::path_above() {
  if (rng_.chance(35) && !directories_.empty()) return directories_.any(rng_) + "/";
  static constexpr int kLevels[] = {0, 0, 0, 1, 1, 1, 1, 2, 2, 3};
  std::string above;
  for (int level = rng_.pick(kLevels); level > 0; level--) {
    above += rng_.chance(2) ? name() : std::string(1, directory_letter());
    above += '/';
  }
  return above;
}

inline std::string Worker::path_known(unsigned percent) {
  if (rng_.chance(percent) && !recent_.empty()) return recent_.any(rng_);
  std::string path = path_above();
  return path.append(name());
}

inline std::string Worker::directory() {
  if (rng_.chance(12)) return ".";
  if (rng_.chance(60) && !directories_.empty()) return directories_.any(rng_);
  std::string path = path_above();
  return path.append(1, directory_letter());
}

// Where a directory is held open, sometimes a name below it instead.
inline Place Worker::place_at(std::string path) {
  if (rng_.chance(12)) {
    for (const Handle& handle : pool_) {
      if (!handle.directory || rng_.chance(30)) continue;
      by_handle_ = true;
      return {handle.fd, name()};
    }
  }
  return {AT_FDCWD, std::move(path)};
}

inline Place Place::parent() const {
  size_t slash = path.rfind('/');
  return {dir, slash == std::string::npos ? "." : path.substr(0, slash)};
}

inline mode_t Worker::mode() {
  static constexpr mode_t kModes[] = {0644, 0644,  0600,  0666,  0666,  0755,  0777, 0777,
                                      0640, 04755, 02755, 06777, 02775, 01777, 0400, 0};
  return rng_.pick(kModes);
}

inline size_t Worker::length() {
  if (settings_.big && rng_.chance(10)) return rng_.between(256 << 10, 3 << 20);
  if (rng_.chance(15)) return rng_.between(1, 64) * 4096;
  return rng_.log_uniform(256 << 10);
}

// Where to write in a file of this size: inside, at its end, near, or far behind it.
inline off_t Worker::offset(off_t size) {
  uint64_t how = rng_.below(100);
  if (how < 45) return static_cast<off_t>(rng_.below(static_cast<uint64_t>(size) + 1));
  if (how < 60) return size;
  if (how < 75) return static_cast<off_t>(rng_.below(64) * 4096);
  if (how < 90) return static_cast<off_t>(rng_.below(256 << 10));
  // Beyond 32 bits only when asked for: whoever reads such a file without regard to holes reads for seconds.
  if (settings_.big && how < 92) return static_cast<off_t>((uint64_t{4} << 30) + rng_.below(1 << 20));
  return static_cast<off_t>(rng_.below(8 << 20));
}

}  // namespace tfs::support
