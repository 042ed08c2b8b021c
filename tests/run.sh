#!/bin/bash
# Runs the tests: tests/KIND/NAME.test, each in a fresh folder build/tests-run/KIND/NAME,
# and a doctest program. A test passes with 0, is skipped with 77, fails otherwise. It
# fails, too, if it leaves a mount or a process behind; both are cleaned up. The folder
# of a test that failed and its log, NAME.log beside it, are kept.
#
#   -j N             run N tests at a time (2)
#   -k               keep the folders of tests that passed
#   --soak           export TFS_SOAK=1: tests that can take long do; 3600 s for each
#   --timeout N      seconds that a test may take (300)
#   --unit PATH      a doctest program; each of its test cases counts as a test
#   --dir DIR        folder to run in (build/tests-run)
#   PATTERN...       run what has one of these (globs) in its KIND/NAME; the doctest
#                    program is called unit/NAME
#
# TFS_BIN, TFS_TESTS, TFS_SEED, TFS_TRACE are handed on. The last line is the sum:
# "N passed, N failed, N skipped". Exit status: 0, or 1 if a test failed or none was
# found, or 2 for wrong usage.

set -u
shopt -s nullglob

self=$(realpath "$0")
top=$(dirname "$(dirname "$self")")
kinds='cli mount pipeline regress faults lint'
jobs=2
keep=
limit=
units=()
patterns=()
run=$top/build/tests-run

usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$self"
}

bad_usage() {
  echo "run.sh: fatal: $1" >&2
  echo "Try: $0 --help" >&2
  exit 2
}

is_number() {
  [[ $1 =~ ^[1-9][0-9]{0,5}$ ]]
}

parse() {
  while [[ $# -gt 0 ]]; do
    case $1 in
    -j | --timeout | --unit | --dir)
      [[ $# -ge 2 ]] || bad_usage "$1 needs an argument"
      ;;&
    -j) jobs=$2 && shift ;;
    -j*) jobs=${1#-j} ;;
    -k) keep=1 ;;
    --soak) export TFS_SOAK=1 ;;
    --timeout) limit=$2 && shift ;;
    --unit) units+=("$(realpath -m "$2")") && shift ;;
    --dir) run=$2 && shift ;;
    --help) usage && exit 0 ;;
    -*) bad_usage "unknown option $1" ;;
    *) patterns+=("$1") ;;
    esac
    shift
  done
  : "${limit:=$([[ -n ${TFS_SOAK:-} ]] && echo 3600 || echo 300)}"
  is_number "$jobs" || bad_usage "-j $jobs is no number of tests"
  is_number "$limit" || bad_usage "--timeout $limit is no number of seconds"
  run=$(realpath -m "$run")
  TFS_BIN=$(realpath -m "${TFS_BIN:-$top/bin}")
  TFS_TESTS=$(realpath -m "${TFS_TESTS:-$top/build/release/tests}")
  export TFS_BIN TFS_TESTS
}

# ---- what a test may leave behind

# The mounts below a folder, the last one first; octal digits are decoded.
mounts_below() {
  local name
  cut -d ' ' -f 5 /proc/self/mountinfo | tac | while read -r name; do
    name=$(printf '%b' "${name//\\/\\0}")
    [[ $name != "$1"/* ]] || printf '%s\n' "$name"
  done
}

# The processes that have this mark in their environment; not those that are dead already.
processes_marked() {
  local file pid
  grep -lszFx -e "TFS_TEST_MARK=$1" /proc/[0-9]*/environ | while read -r file; do
    pid=${file#/proc/}
    pid=${pid%/environ}
    grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" && echo "$pid"
  done
}

wait_until_gone() {
  local tries
  for ((tries = $2 * 20; tries > 0; tries--)); do
    [[ -n $(processes_marked "$1") ]] || return 0
    sleep 0.05
  done
  return 1
}

signal_marked() {
  local pid
  for pid in $(processes_marked "$2"); do
    kill -s "$1" "$pid" 2>/dev/null
  done
}

unmount_below() {
  local mount
  mounts_below "$1" | while read -r mount; do
    timeout 5 fusermount3 -u -- "$mount" 2>/dev/null ||
      timeout 5 umount -- "$mount" 2>/dev/null ||
      umount -l -- "$mount"
  done
}

# Says what a test left behind and clears it away: nothing said means that it was clean.
# Processes first, for an unmount waits for a server that does not answer.
clean_up() {
  local folder=$1 mark=$2 mounts pid
  mounts=$(mounts_below "$folder" | wc -l)
  [[ $mounts -eq 0 ]] || echo "left $mounts mounted"
  # A pipeline whose source has ended takes a moment to end.
  if [[ $mounts -gt 0 ]] || ! wait_until_gone "$mark" 3; then
    for pid in $(processes_marked "$mark"); do
      echo "left process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null))"
    done
    signal_marked TERM "$mark"
    signal_marked CONT "$mark"
    wait_until_gone "$mark" 2 || signal_marked KILL "$mark"
    wait_until_gone "$mark" 2 || echo 'left a process that cannot be killed'
  fi
  unmount_below "$folder"
}

# Never while something is mounted there, and past append-only and immutable files.
remove_folder() {
  [[ -e $1 ]] || return 0
  [[ -z $(mounts_below "$1") ]] || return 1
  rm -rf --one-file-system -- "$1" 2>/dev/null && return
  chattr -R -f -ia -- "$1"
  rm -rf --one-file-system -- "$1"
}

# ---- one test

seconds_since() {
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

# Prints what doctest counted: "PASSED FAILED SKIPPED".
doctest_counts() {
  sed -n 's/^\[doctest\] test cases: //p' "$1" | tail -n 1 |
    sed -n 's/.*| *\([0-9]*\) passed *| *\([0-9]*\) failed *| *\([0-9]*\) skipped.*/\1 \2 \3/p'
}

# Prints "PASSED FAILED SKIPPED REASON" of a test that ended with a status after so
# many seconds.
verdict() {
  local kind=$1 status=$2 seconds=$3 log=$4 left=$5 reason='' passed failed skipped counts
  case $status in
  0 | 77) ;;
  124 | 137) [[ ${seconds%.*} -lt $limit ]] || reason="longer than $limit s" ;;&
  *) reason=${reason:-status $status} ;;
  esac
  [[ -z $left ]] || reason=${reason:+$reason; }$left
  if [[ $kind = unit ]]; then
    counts=$(doctest_counts "$log")
    read -r passed failed skipped <<<"${counts:-0 0 0}"
    [[ $((passed + failed)) -gt 0 ]] || reason=${reason:-no test case ran}
    [[ -z $reason || $failed -gt 0 ]] || failed=1
    echo "$passed $failed $skipped $passed of $((passed + failed)) passed${reason:+; $reason}"
  elif [[ -n $reason ]]; then
    echo "0 1 0 $reason"
  elif [[ $status -eq 77 ]]; then
    echo "0 0 1 $(sed -n 's/^SKIP: //p' "$log" | tail -n 1)"
  else
    echo '1 0 0'
  fi
}

# Runs KIND/NAME and writes its counts and what is to be printed to NAME.result.
run_one() {
  local name=$1 program=$2 folder=$run/$1 log=$run/$1.log mark=$$.$1
  local start=$EPOCHREALTIME status=0 seconds left passed failed skipped reason word=ok
  local command=("$program")
  [[ -x $program ]] || command=(sh "$program")
  [[ $name != unit/* ]] || command+=(--no-colors)
  rm -f "$log"
  # timeout makes a process group, and signals all of it: first TERM, so that the test
  # cleans up after itself, then KILL. A shell's background jobs ignore INT and QUIT, and
  # a test must not inherit that.
  {
    (
      { remove_folder "$folder" && mkdir -p "$folder" && cd "$folder"; } || exit 1
      exec env --default-signal TFS_TEST_MARK="$mark" timeout -k 20 "$limit" "${command[@]}"
    ) </dev/null >>"$log" 2>&1 || status=$?
  } 2>/dev/null # where bash would say that it was killed
  seconds=$(seconds_since "$start")
  left=$(clean_up "$folder" "$mark" 2>&1 | tee -a "$log" | paste -sd ';')

  read -r passed failed skipped reason < <(
    verdict "${name%%/*}" "$status" "$seconds" "$log" "$left"
  )
  [[ $failed -eq 0 ]] || word=FAIL
  [[ $((passed + failed)) -gt 0 ]] || word=skip
  {
    echo "$passed $failed $skipped"
    printf '%-4s %6ss %s%s\n' "$word" "$seconds" "$name" "${reason:+: $reason}"
    if [[ $failed -gt 0 ]]; then
      tail -n 40 "$log" | cut -c 1-2000 | cat -v | sed 's/^/    | /'
      echo "    kept: $folder"
    fi
  } >"$run/$name.result"
  [[ $failed -gt 0 || -n $keep ]] || { remove_folder "$folder" && rm -f "$log"; }
}

# ---- all of them

is_wanted() {
  local pattern
  [[ ${#patterns[@]} -gt 0 ]] || return 0
  for pattern in "${patterns[@]}"; do
    # A pattern is a glob: not quoted.
    # shellcheck disable=SC2053
    [[ $1 == *$pattern* ]] && return 0
  done
  return 1
}

# Fills `names` and `programs`, one entry for each test to run.
find_tests() {
  local kind file name
  names=()
  programs=()
  for file in "${units[@]}"; do
    name=unit/$(basename "$file")
    is_wanted "$name" && names+=("$name") && programs+=("$file")
  done
  for kind in $kinds; do
    for file in "$top/tests/$kind"/*.test; do
      name=$kind/$(basename "$file" .test)
      is_wanted "$name" && names+=("$name") && programs+=("$file")
    done
  done
}

# One at a time and whole, so that the output of parallel tests does not mix.
report() {
  local counts=(0 1 0)
  if [[ -s $run/$1.result ]]; then
    read -r -a counts <"$run/$1.result"
    tail -n +2 "$run/$1.result"
    rm -f "$run/$1.result"
  else
    echo "FAIL      - $1: the runner lost it"
  fi
  total_passed=$((total_passed + counts[0]))
  total_failed=$((total_failed + counts[1]))
  total_skipped=$((total_skipped + counts[2]))
}

# Waits for one of the tests under way.
reap() {
  local pid
  wait -n -p pid "${!under_way[@]}"
  report "${under_way[$pid]}"
  unset "under_way[$pid]"
}

# The tests under way are told to end, and their folders are kept. What does not listen
# is killed by the `timeout` above it.
stop() {
  local name
  trap : INT TERM HUP
  echo 'run.sh: fatal: stopped by a signal' >&2
  for name in "${under_way[@]}"; do
    signal_marked TERM "$$.$name"
  done
  wait "${!under_way[@]}"
  exit 130
}

prepare_folder() {
  mkdir -p "$run"
  exec 9>"$run/.lock"
  flock -n 9 || bad_usage "another run is using $run"
  # What a run left that was killed.
  unmount_below "$run"
}

main() {
  local i
  parse "$@"
  find_tests
  prepare_folder
  [[ -z ${TFS_SEED:-} ]] || echo "TFS_SEED=$TFS_SEED"
  total_passed=0 total_failed=0 total_skipped=0
  declare -gA under_way=()
  trap stop INT TERM HUP
  for i in "${!names[@]}"; do
    [[ ${#under_way[@]} -lt $jobs ]] || reap
    mkdir -p "$run/$(dirname "${names[i]}")"
    run_one "${names[i]}" "${programs[i]}" 9>&- &
    under_way[$!]=${names[i]}
  done
  while [[ ${#under_way[@]} -gt 0 ]]; do reap; done
  [[ ${#names[@]} -gt 0 ]] || echo 'run.sh: fatal: found no test to run' >&2
  echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
  [[ ${#names[@]} -gt 0 && $total_failed -eq 0 ]]
}

main "$@"
