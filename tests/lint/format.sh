#!/bin/bash
# Fails where clang-format would change something. Every version of it formats a little differently: what counts is 14, that of
# Debian 12.
#
#   format.sh [TOP]

set -eu

cd "$(realpath "${1:-$(dirname "$0")/../..}")"
tool=${CLANG_FORMAT:-clang-format}
version=$("$tool" --version 2>/dev/null | sed 's/.*version \([0-9]*\)\..*/\1/')
if [[ $version != 14 ]]; then
  echo "format.sh: warning: clang-format is ${version:-missing}, and not 14: nothing was checked" >&2
  exit 0
fi
mapfile -t files < <(find cmd lib tests -name '*.cc' -o -name '*.h' | sort)
"$tool" --dry-run --Werror "${files[@]}" 2>&1 | grep -E '^[^ ]+:[0-9]+:[0-9]+: error:' | sed 's/:[0-9]*: error:.*/: is not as clang-format has it/' | sort -u -t : -k 1,1 >&2
exit "$((! PIPESTATUS[1]))"
