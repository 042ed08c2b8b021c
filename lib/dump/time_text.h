// Times as decimal numbers of seconds: "1.000000002". The number is the time's value, so half a second before 1970, which the
// stream holds as -1 s and 500000000 ns, is "-0.500000000".
#pragma once

#include <string>

#include "lib/base/result.h"
#include "lib/format/records.h"

namespace tfs::dump {

void append_time(const format::Time& time, std::string& out);

// kCorrupt for all that append_time() does not make.
Result<format::Time> parse_time(std::string_view text);

}  // namespace tfs::dump
