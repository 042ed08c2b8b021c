// The times that a filesystem can hold. Others it changes to the nearest of these, and says nothing.
#pragma once

#include <cstdint>
#include <limits>

#include "lib/format/records.h"

namespace tfs::apply {

struct TimeRange {
  int64_t first = std::numeric_limits<int64_t>::min(), last = std::numeric_limits<int64_t>::max();  // seconds since 1970
  int64_t step_ns = 1;  // times are multiples of this: 1,000,000,000 where they are whole seconds

  // What a file has whose time is set to this: cut down to a step and, as Linux does it, to the whole second at both ends.
  format::Time nearest(const format::Time& time) const;
  bool holds(const format::Time& time) const { return nearest(time) == time; }
  // All that the record would have set.
  bool holds(const format::Record& record) const;
};

// Of the filesystem of an open file, whose times this changes.
TimeRange time_range_of(int fd);
}  // namespace tfs::apply
