# What the tests share. A test is a POSIX sh script that begins with
#
#     . "$(dirname "$0")/../lib.sh"
#
# and runs in an empty folder of its own, where it may leave what it likes:
# tests/run.sh makes the folder and takes it away. It ends with 0 (passed), 77
# (skipped) or anything else (failed); `set -eu` is on, so a command that fails
# fails the test.
#
# At the end, however it comes: the commands of on_exit run in reverse, then
# tracked processes that still live are ended, then what is mounted below the
# folder is unmounted. What had to be forced fails the test.
#
# TFS_BIN and TFS_TESTS, absolute paths, say where the finished tools and the programs
# of tests/support are; TFS_TRACE=1 shows each command.
#
# shellcheck shell=sh

set -eu

TFS_TOP=$(cd "$(dirname "$0")/../.." && pwd -P)
TFS_RUN=$(pwd -P)
TFS_BIN=${TFS_BIN:-$TFS_TOP/bin}
TFS_TESTS=${TFS_TESTS:-$TFS_TOP/build/release/tests}
PATH=$TFS_BIN:$PATH
LC_ALL=C
export TFS_TOP TFS_RUN TFS_BIN TFS_TESTS PATH LC_ALL
umask 022

# ---- verdicts

# fail MESSAGE: ends the test as failed.
fail() {
  echo "FAIL: $*" >&2
  exit 1
}

# skip REASON: ends the test as not for this machine.
skip() {
  echo "SKIP: $*"
  exit 77
}

need_root() {
  [ "$(id -u)" = 0 ] || skip 'needs root'
}

need_cmd() {
  for tfs_cmd in "$@"; do
    command -v "$tfs_cmd" >/dev/null || skip "needs $tfs_cmd"
  done
}

# not_sanitized WHY: of what a sanitizer does itself the test could not tell what the tools do.
not_sanitized() {
  [ -z "${TFS_SANITIZER:-}" ] || skip "not with $TFS_SANITIZER: $1"
}

# Whether ordinary users come to this folder and to the tools: not where a checkout lies in the home of root.
users_come_here() {
  chmod 755 . && setpriv --reuid=1000 --regid=1000 --clear-groups test -x "$TFS_RUN" -a -x "$TFS_BIN/tfs_mirror"
}

# A mount namespace of one's own, which a chroot does not have.
need_mount_namespace() {
  need_cmd unshare
  unshare -m true || skip 'cannot make a mount namespace (in a chroot, its top has to be a mount)'
}

# In a subshell: a redirection that fails ends a POSIX shell.
need_fuse() {
  need_cmd fusermount3
  (: <>/dev/fuse) 2>/dev/null || skip 'needs /dev/fuse'
}

# Whether FUSE over io_uring is to be had; says why not.
has_io_uring() {
  tfs_switch=/sys/module/fuse/parameters/enable_uring
  if [ ! -e "$tfs_switch" ]; then
    echo 'no FUSE over io_uring (Linux 6.14)'
  elif [ ! -w "$tfs_switch" ]; then
    echo "$tfs_switch cannot be written"
  elif [ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" != 0 ]; then
    echo 'io_uring is disabled here'
  else
    return 0
  fi
  return 1
}

# The kernel offers it until the test ends. It is a switch of the whole machine, so one test at a time has it.
use_io_uring() {
  [ -z "${TFS_USES_IO_URING:-}" ] || return 0
  exec 9>/tmp/tfs-tests.io_uring.lock
  flock -w 250 9 || fail 'another test keeps io_uring for itself'
  on_exit "echo $(cat "$tfs_switch") >$tfs_switch"
  echo Y >"$tfs_switch"
  export TFS_USES_IO_URING=1
}

need_io_uring() {
  tfs_lack=$(has_io_uring) || skip "$tfs_lack"
  has_io_uring && use_io_uring
}

# must_fail STATUS COMMAND...: the command's exit status has to be exactly this one.
must_fail() {
  tfs_status=0
  (shift && "$@") || tfs_status=$?
  [ "$tfs_status" = "$1" ] || fail "status $tfs_status, but wanted is $*"
}

# mount_disk DIR [OPTION]...: an empty filesystem at DIR. A tmpfs, mounted with these options, where the outcome of allocation does not
# depend on the time of writing back; or what TFS_DISK says (ext4, xfs, btrfs), in a file.
mount_disk() {
  tfs_disk=$1
  shift
  if [ -z "${TFS_DISK:-}" ]; then
    mount -t tmpfs "$@" tfs-test "$tfs_disk"
    return
  fi
  rm -f "$tfs_disk.image"
  truncate -s 8G "$tfs_disk.image"
  "mkfs.$TFS_DISK" -q "$tfs_disk.image" >/dev/null
  mount -o loop "$tfs_disk.image" "$tfs_disk"
}

# same_tree A B [OPTION of manifest]...: nothing that a mirror carries differs.
same_tree() {
  tfs_a=$1
  tfs_b=$2
  shift 2
  [ -z "${TFS_DISK:-}" ] || set -- "$@" --no-holes
  tfs_diff=$(mktemp -d "$TFS_RUN/same_tree.XXXXXX") || return 1
  tfs_same=0
  {
    "$TFS_TESTS/manifest" "$@" -- "$tfs_a" >"$tfs_diff/a" &&
      "$TFS_TESTS/manifest" "$@" -- "$tfs_b" >"$tfs_diff/b" &&
      diff "$tfs_diff/a" "$tfs_diff/b" >"$tfs_diff/diff"
  } || tfs_same=1
  if [ -s "$tfs_diff/diff" ]; then
    echo "FAIL: $tfs_a (<) and $tfs_b (>) differ:" >&2
    grep '^[<>]' "$tfs_diff/diff" | head -n 30 | cut -c 1-2000 >&2
  fi
  rm -r "$tfs_diff"
  return "$tfs_same"
}

# ---- waiting

tfs_now_ms() {
  date +%s%3N
}

# wait_for SECONDS COMMAND...: until the command succeeds, asked every 20 ms. What it
# says is kept back and shown only if the time runs out.
wait_for() {
  tfs_deadline=$(($(tfs_now_ms) + $1 * 1000))
  tfs_limit=$1
  shift
  until tfs_said=$("$@" 2>&1); do
    if [ "$(tfs_now_ms)" -ge "$tfs_deadline" ]; then
      [ -z "$tfs_said" ] || printf '%s\n' "$tfs_said" >&2
      echo "FAIL: after $tfs_limit s still not: $*" >&2
      return 1
    fi
    sleep 0.02
  done
}

# ---- mounts

# The path as the kernel writes it: absolute, with spaces and the like in octal. The
# last component is not looked at, for a mount whose server is dead answers nothing.
tfs_mount_name() {
  tfs_parent=$(cd "$(dirname "$1")" && pwd -P) || return 1
  printf '%s\n' "${tfs_parent%/}/$(basename "$1")" |
    sed 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g'
}

tfs_is_mounted() {
  tfs_name=$(tfs_mount_name "$1") || return 1
  cut -d ' ' -f 5 /proc/self/mountinfo | grep -Fqx -e "$tfs_name"
}

# Asks with statfs, which no cache answers. With a time limit, for it hangs where a
# server does.
tfs_serves() {
  tfs_is_mounted "$1" && timeout 5 stat -f -- "$1" >/dev/null
}

# wait_mounted MNT [SECONDS]: until MNT is a mount that answers.
wait_mounted() {
  wait_for "${2:-10}" tfs_serves "$1"
}

# umount_tfs MNT: fails if that took force. Asks for two seconds, for a process that
# has just been told to go may still hold a file; no longer if the request itself hangs.
umount_tfs() {
  for tfs_try in 1 2 3 4 5 6 7 8 9 10; do
    tfs_is_mounted "$1" || return 0
    tfs_said=$(timeout 5 fusermount3 -u -- "$1" 2>&1 || timeout 5 umount -- "$1" 2>&1) &&
      continue
    [ $? != 124 ] || break
    sleep 0.2
  done
  tfs_is_mounted "$1" || return 0
  echo "FAIL: unable to unmount $1 in $tfs_try attempts: $tfs_said" >&2
  umount -l -- "$1" || true
  return 1
}

# The mounts below the folder, the last one first; names with octal digits decoded.
tfs_own_mounts() {
  cut -d ' ' -f 5 /proc/self/mountinfo | tac | while read -r tfs_line; do
    tfs_line=$(printf '%b' "$(printf '%s' "$tfs_line" | sed 's/\\/\\0/g')")
    case $tfs_line in
    "$TFS_RUN"/*) printf '%s\n' "$tfs_line" ;;
    esac
  done
}

# ---- the end

tfs_exits=0
tfs_pids=

# on_exit COMMAND: a string for the shell. Not heard from within ( ) or a pipe.
on_exit() {
  tfs_exits=$((tfs_exits + 1))
  eval "tfs_exit_$tfs_exits=\$*"
}

# track_pid PID: a process of this test that must not outlive it. Kept with its time
# of birth, so that another one that got its number later is left alone.
track_pid() {
  tfs_pids="$tfs_pids $1:$(tfs_birth "$1" || true)"
}

# The start time of a process that lives; fails if there is none, or but a zombie.
tfs_birth() {
  tfs_stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The name, second of the fields, is in parentheses and may hold anything.
  # shellcheck disable=SC2086
  set -- ${tfs_stat##*) }
  [ "$1" != Z ] && [ "$1" != X ] && echo "${20}"
}

tfs_is_alive() {
  [ "$(tfs_birth "${1%%:*}")" = "${1#*:}" ] && [ -n "${1#*:}" ]
}

tfs_signal_tracked() {
  for tfs_pid in $tfs_pids; do
    ! tfs_is_alive "$tfs_pid" || kill -s "$1" "${tfs_pid%%:*}" 2>/dev/null || true
  done
}

tfs_all_gone() {
  for tfs_pid in $tfs_pids; do
    ! tfs_is_alive "$tfs_pid" || return 1
  done
}

# TERM, then CONT, for a process that the test has stopped hears nothing.
tfs_end_tracked() {
  tfs_signal_tracked TERM
  tfs_signal_tracked CONT
  wait_for 10 tfs_all_gone 2>/dev/null && return 0
  for tfs_pid in $tfs_pids; do
    ! tfs_is_alive "$tfs_pid" || echo "FAIL: process ${tfs_pid%%:*} did not end on TERM" >&2
  done
  tfs_signal_tracked KILL
  return 1
}

tfs_umount_own() {
  tfs_left=$(tfs_own_mounts)
  while read -r tfs_mount; do
    [ -z "$tfs_mount" ] || umount_tfs "$tfs_mount" || return 1
  done <<END
$tfs_left
END
}

tfs_at_exit() {
  tfs_result=$?
  trap - EXIT
  # Not '': what is ignored here would be ignored by the commands below, too.
  trap : HUP INT TERM
  set +e
  cd "$TFS_RUN" || exit 1
  while [ "$tfs_exits" -gt 0 ]; do
    (eval "eval \"\$tfs_exit_$tfs_exits\"")
    tfs_exits=$((tfs_exits - 1))
  done
  tfs_forced=0
  tfs_end_tracked || tfs_forced=1
  tfs_umount_own || tfs_forced=1
  [ "$tfs_result" != 0 ] || tfs_result=$tfs_forced
  exit "$tfs_result"
}

[ -z "${TFS_TRACE:-}" ] || set -x
trap tfs_at_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- a pipeline

# tmpfs_at DIR [OPTIONS of mount]: a tmpfs of its own. Where holes are to be compared store
# and mirror stand on one: ext4 allocates later than it is told, and more.
tmpfs_at() {
  mkdir -p "$1"
  mount -t tmpfs -o "${2:-size=2g,mode=755}" tmpfs "$1" || skip 'cannot mount a tmpfs'
}

# start_journal STORE MNT OUT [OPTION of tfs_journal]...: with its stream going to the file
# or FIFO OUT and its messages to journal.err; both directories are made. Returns when MNT
# serves. The process is $journal_pid. TFS_WRAP, words that stand before the command (setpriv
# and its options, strace), if set.
start_journal() {
  tfs_store=$1
  tfs_mnt=$2
  tfs_out=$3
  shift 3
  mkdir -p "$tfs_store"
  tfs_is_mounted "$tfs_mnt" || mkdir -p "$tfs_mnt" # else one that was killed has left it
  rm -f journal.ready
  mkfifo journal.ready
  # shellcheck disable=SC2086 # words
  ${TFS_WRAP:-} tfs_journal --ready-fd 3 "$@" "$tfs_store" "$tfs_mnt" \
    </dev/null 3>journal.ready >"$tfs_out" 2>journal.err &
  journal_pid=$!
  track_pid "$journal_pid"
  # The end of the file, if it did not get so far.
  read -r tfs_line <journal.ready ||
    fail "tfs_journal did not start: $tfs_line$(cat journal.err)"
}

# start_line STORE MNT MIRROR [OPTION of tfs_journal]...: the pipeline, with the mirror
# following while the test works on MNT. A FIFO and not "|", for the shell then knows both
# processes, $journal_pid and $mirror_pid, and both statuses. TFS_RECORD, if set, is a file
# that gets the stream, too.
start_line() {
  line_store=$1
  line_mnt=$2
  line_mirror=$3
  shift 3
  mkdir -p "$line_mirror"
  rm -f line
  mkfifo line
  if [ -n "${TFS_RECORD:-}" ]; then
    tee "$TFS_RECORD" <line | tfs_mirror "$line_mirror" 2>mirror.err &
  else
    tfs_mirror "$line_mirror" <line 2>mirror.err &
  fi
  mirror_pid=$!
  track_pid "$mirror_pid"
  start_journal "$line_store" "$line_mnt" line "$@"
}

# ends PID STATUS [SECONDS]: the process ends within that time (60) with that status.
ends() {
  wait_for "${3:-60}" tfs_has_ended "$1"
  tfs_status=0
  wait "$1" || tfs_status=$?
  [ "$tfs_status" = "$2" ] || fail "process $1 ended with $tfs_status and not with $2:
$(cat journal.err mirror.err 2>/dev/null)"
}

tfs_has_ended() {
  ! tfs_birth "$1"
}

# end_mount HOW MNT: by fusermount3, umount, or a signal to $journal_pid.
end_mount() {
  case $1 in
  fusermount3) wait_for 5 fusermount3 -u -- "$2" ;;
  umount) wait_for 5 umount -- "$2" ;;
  *) kill -s "$1" "$journal_pid" ;;
  esac
}

# end_line HOW: ends the pipeline of start_line; both tools have ended well and have had
# nothing to say.
end_line() {
  end_mount "$1" "$line_mnt"
  ends "$journal_pid" 0
  ends "$mirror_pid" 0 120
  [ ! -s journal.err ] || fail "tfs_journal said: $(cat journal.err)"
  [ ! -s mirror.err ] || fail "tfs_mirror said: $(cat mirror.err)"
  ! tfs_is_mounted "$line_mnt" || fail "$line_mnt is still mounted"
}

# settle_and_compare HOW [OPTION of manifest]...: end_line, and the mirror is the store.
settle_and_compare() {
  end_line "$1"
  shift
  same_tree "$line_store" "$line_mirror" "$@"
}
