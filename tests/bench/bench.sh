#!/bin/bash
# Measures TFS beside what a user would take instead, in one run, and prints one table of ratios. "make bench" calls it.
#
#   bench.sh [NAME]...      or the names in $BENCH
#
#   micro       operations on the mount, against the plainest FUSE filesystem and against none; each test of
#               "fsbench --list" is a NAME of its own, too
#   apps        untar, git, sqlite, a compile, npm, pgbench on the mount; each is a NAME (untar-app for the first)
#   latency     from the close of a small file until it is in the mirror, against lsyncd
#   untar       a tree of 45,000 names until the mirror is exact, against tar alone and lsyncd (with fewer names)
#   replay      a journal into a mirror, against tar and rsync
#   broadcast, spool   the programs broadcast.sh and spool.sh beside this one
#   scan        a scan by hash, against xxhsum, and beside a program that works on the mount
#   memory      of each tool
#   growth      what operations and restarts cost with 100,000 and 3,000,000 names, in a directory of a million, 200 levels deep and
#               with 10,000 links, against a tree of 1,000 names: minutes, and 12 GiB of memory for the 3,000,000
#   lsyncd      the 45,000 names through lsyncd, too: up to 200 s
#
# Without a name all but the last two, in less than ten minutes. Everything is measured in rounds in which the rivals take turns;
# a figure is the median of its rounds, "least-most" is the spread of the ratio between the rivals of one round. Where the
# machine is too slow for all rounds there are fewer; column n has their number.
#
# TFS_BIN and TFS_TESTS say where the tools and the programs of tests/support are; BENCH_ROUNDS=N asks for N rounds (3).
# BENCH_OPTIONS are options of tfs_journal for all of its mounts.
# BENCH_RT=1 runs all of it at real-time priority: for a machine whose other work can wait, and disturbs the figures.

set -u
shopt -s nullglob
LC_ALL=C
export LC_ALL
umask 022

here=$(cd "$(dirname "$0")" && pwd -P)
top=$(dirname "$(dirname "$here")")
# shellcheck source=common.sh
. "$here/common.sh"
for part in "$here"/part_*.sh; do
  # shellcheck source=/dev/null
  . "$part"
done

usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

# has WORD LIST...: whether the word is one of the list.
has() {
  local word=$1 each
  shift
  for each; do
    [[ $each != "$word" ]] || return 0
  done
  return 1
}

main() {
  local name names tests apps some_tests=() some_apps=()
  [[ ${1:-} != --help ]] || { usage && exit 0; }
  read -ra names <<<"${*:-${BENCH:-}}"
  prepare
  # shellcheck disable=SC2154 # common.sh
  mapfile -t tests < <("$programs/fsbench" --list | cut -f 1)
  apps=(untar-app git sqlite compile npm pgbench)
  [[ ${#names[@]} -gt 0 ]] || names=(micro apps latency untar replay scan broadcast spool memory)
  for name in "${names[@]}"; do
    has "$name" micro apps latency untar replay scan broadcast spool memory growth lsyncd "${tests[@]}" "${apps[@]}" ||
      fatal "there is no benchmark $name (see $0 --help)" 2
  done
  heading
  for name in "${names[@]}"; do
    ! has "$name" "${tests[@]}" || some_tests+=("$name")
    ! has "$name" "${apps[@]}" || some_apps+=("$name")
  done
  [[ ${#some_tests[@]} -eq 0 ]] || bench_micro "${some_tests[@]}"
  [[ ${#some_apps[@]} -eq 0 ]] || bench_apps "${some_apps[@]}"
  for name in "${names[@]}"; do
    case $name in
    micro) bench_micro "${tests[@]}" ;;
    apps) bench_apps "${apps[@]}" ;;
    latency | untar | replay | scan | memory | growth | lsyncd) "bench_$name" ;;
    broadcast) bench_other broadcast 2 600 ;;
    spool) bench_other spool 3 600 ;;
    esac
  done
  printf '\n%d s in all.\n' "$SECONDS"
}

# A benchmark that is a program of its own, and prints its own lines.
bench_other() {
  local name=$1 script=$here/$1.sh
  shift
  if [[ ! -x $script ]]; then
    left_out "$name" "there is no ${script#"$top"/}"
    return
  fi
  printf '\n'
  run "$script" "$@" || left_out "$name" "${script#"$top"/} failed"
}

main "$@"
