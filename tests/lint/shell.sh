#!/bin/bash
# Runs shellcheck over every script and every test.
#
#   shell.sh [TOP]

set -eu

cd "$(realpath "${1:-$(dirname "$0")/../..}")"
command -v shellcheck >/dev/null || { echo 'shell.sh: fatal: shellcheck is missing' >&2 && exit 1; }

# 2015: "A && B || fail" is meant: fail does not return. 2016: single quotes are meant. 2094: a file that is written and then
# read. 2119: functions whose arguments may be left out. 2164: set -e is on.
check() {
  shellcheck -x -P SCRIPTDIR -P . -e SC2015,SC2016,SC2094,SC2119,SC2164 "$@"
}

status=0
mapfile -t scripts < <(grep -rlE '^#!/bin/(ba)?sh' tests .ci cmd | grep -v '\.test$')
check "${scripts[@]}" tests/lib.sh || status=1
# 2034, 2154: variables that lib.sh and its likes read or set. 3045: ulimit -v, which Debian's sh has.
mapfile -t tests < <(find tests -name '*.test')
[[ ${#tests[@]} -eq 0 ]] || check -s sh -e SC2034,SC2154,SC3045 "${tests[@]}" || status=1
exit "$status"
