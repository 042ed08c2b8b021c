# What the parts of bench.sh share: processes and mounts that are ended whatever happens, rounds, the table.
# shellcheck shell=bash
# shellcheck disable=SC2154 # here, top: set by bench.sh

TFS_BIN=${TFS_BIN:-$top/bin}
TFS_TESTS=${TFS_TESTS:-$top/build/release/tests}
programs=$TFS_TESTS  # of tests/bench, too: make builds them there
cache=$top/build/bench  # archives, and what npm has fetched
export TFS_BIN TFS_TESTS
rounds=${BENCH_ROUNDS:-3}
names_in_tree=45000
names_in_small_tree=3000

fatal() {
  echo "bench.sh: fatal: $1" >&2
  exit "${2:-1}"
}

# ---- before and after

prepare() {
  local tool source
  [[ $(id -u) = 0 ]] || fatal 'needs root'
  { : <>/dev/fuse; } 2>/dev/null || fatal 'there is no /dev/fuse'
  for tool in tfs_journal tfs_mirror tfs_broadcast; do
    [[ -x $TFS_BIN/$tool ]] || fatal "$TFS_BIN has no $tool: run make"
  done
  for source in "$here"/*.cc; do
    tool=$(basename "$source" .cc)
    [[ -x $programs/$tool ]] || fatal "$programs has no $tool: run make benches"
  done
  mkdir -p "$cache"
  trap at_exit EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  BENCH_MARK=$$.$EPOCHREALTIME  # in the environment of all that is started: what is left can be found
  export BENCH_MARK
  fast=$(mktemp -d /dev/shm/tfs-bench.XXXXXX) || fatal 'there is no room in /dev/shm'
  chmod 711 "$fast"
  HOME=$fast
  export HOME
  touch_memory
  values=$fast/values
  : >"$values"
  [[ -z ${BENCH_RT:-} ]] || chrt -r -p 1 $$ || fatal 'unable to run at real-time priority'
  # Each job is a process group of its own, so that it can be ended whole; ^C comes to us alone.
  set -m
  exec 4</dev/null
}

# In a virtual machine memory is slow the first time that it is used; that is no peer's fault.
touch_memory() {
  local kib
  kib=$(awk '/^MemAvailable:/ { print int($2 / 4 < 3145728 ? $2 / 4 : 3145728) }' /proc/meminfo)
  head -c "${kib}k" /dev/zero >"$fast/memory"
  rm -f "$fast/memory"
}

at_exit() {
  local status=$? pid
  trap - EXIT
  trap : HUP INT TERM
  stop_servers
  [[ -z $running ]] || end "$running"
  [[ -z ${uring_was:-} ]] || echo "$uring_was" >"$uring_switch"
  unmount_below "$fast"
  for pid in "${spawned[@]}"; do end "$pid"; done
  for pid in $(marked); do kill -KILL "$pid" 2>/dev/null; done
  unmount_below "$fast"
  rm -rf --one-file-system "$fast"
  exit "$status"
}

# The processes that have the mark in their environment and are none of this script's own.
marked() {
  local file pid
  grep -lszFx -e "BENCH_MARK=$BENCH_MARK" /proc/[0-9]*/environ | while read -r file; do
    pid=${file#/proc/}
    pid=${pid%/environ}
    [[ $pid = "$$" || $pid = "$BASHPID" ]] || echo "$pid"
  done
}

unmount_below() {
  local mount folder
  for folder; do
    cut -d ' ' -f 5 /proc/self/mountinfo | tac | while read -r mount; do
      case $mount in
      "$folder"/*) timeout 5 umount "$mount" 2>/dev/null || umount -l "$mount" ;;
      esac
    done
  done
}

# ---- processes

spawned=()
running=  # the one that we wait for

# spawn COMMAND...: in the background; $spawned_pid is its process, and its group.
spawn() {
  "$@" <&4 &
  spawned_pid=$!
  spawned+=("$spawned_pid")
}

# run COMMAND...: to its end. Not just called, so that a signal to us is heard at once.
run() {
  spawn "$@"
  local pid=$spawned_pid status
  running=$pid
  wait "$pid"
  status=$?
  running=
  forget "$pid"
  return "$status"
}

forget() {
  local pid kept=()
  for pid in "${spawned[@]}"; do
    [[ $pid = "$1" ]] || kept+=("$pid")
  done
  spawned=("${kept[@]}")
}

signal_group() {
  kill -s "$1" -- "-$2" 2>/dev/null
}

# end PID: asks, waits for three seconds, and insists.
end() {
  local tries
  {
    signal_group TERM "$1"
    for ((tries = 60; tries > 0; tries--)); do
      signal_group 0 "$1" || break
      sleep 0.05
    done
    signal_group KILL "$1"
    wait "$1"
  } 2>/dev/null  # and what bash says of jobs that were ended
  forget "$1"
}

# placed PLACE COMMAND...: runs it as it is, or with all that it starts on one processor.
placed() {
  local place=$1
  shift
  if [[ $place = pinned ]]; then
    taskset -c 0 "$@"
  else
    "$@"
  fi
}

wait_for() {
  local seconds=$1 until
  shift
  until=$((SECONDS + seconds))
  until "$@"; do
    [[ $SECONDS -lt $until ]] || return 1
    sleep 0.005
  done
}

# ---- the rivals' filesystems. All have the store STORE and are seen at MNT.

# mount_tfs PLACE STORE MNT [READER]: the journal goes to READER, a shell command (cat >/dev/null). BENCH_OPTIONS are tfs_journal's.
mount_tfs() {
  local reader=${4:-cat >/dev/null}
  mkdir -p "$2" "$3"
  # shellcheck disable=SC2016 # for the shell that is started
  spawn placed "$1" bash -c '"$TFS_BIN/tfs_journal" $3 "$1" "$2" | { '"$reader"'; }' bash "$2" "$3" "${BENCH_OPTIONS:-}"
  wait_for 10 mountpoint -q "$3" || fatal "unable to mount $3 with tfs_journal"
}

# Whether the kernel offers FUSE over io_uring; it does until the end, then.
has_uring() {
  uring_switch=/sys/module/fuse/parameters/enable_uring
  [[ -w $uring_switch && $(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0) = 0 ]] || return 1
  [[ -n ${uring_was:-} ]] || uring_was=$(cat "$uring_switch")
  echo Y >"$uring_switch"
}

# The same through io_uring.
mount_uring() {
  local BENCH_OPTIONS="${BENCH_OPTIONS:-} -o io_uring"
  mount_tfs "$@"
}

mount_passthrough() {
  mkdir -p "$2" "$3"
  spawn placed "$1" "$programs/passthrough" "$2" "$3" -o allow_other,default_permissions
  wait_for 10 mountpoint -q "$3" || fatal "unable to mount $3 with passthrough"
}

# unmount MNT PID: and waits until the pipeline behind it has ended.
unmount() {
  local tries
  for ((tries = 20; tries > 0; tries--)); do
    ! umount "$1" 2>/dev/null || break
    sleep 0.1
  done
  [[ $tries -gt 0 ]] || umount -l "$1"
  wait "$2"
  forget "$2"
}

remove() {
  rm -rf --one-file-system "$@"
}

# remove_mirror DIR: with the state beside it.
remove_mirror() {
  remove "$1" "$(dirname "$1")/.$(basename "$1").tfs"
}

# ---- trees

# make_tar FILE NAMES: an archive with so many names: small files of this machine, several copies if there are too few.
make_tar() {
  local file=$1 left=$2 list=$fast/tar.list part=$fast/tar.part copy count
  [[ ! -s $file ]] || return 0
  find /usr/include /usr/share/perl* /usr/lib/python3* /usr/share/doc -xdev \( -type d -o -type f -size -16k \) 2>/dev/null |
    sed 's,^/,,' >"$list"
  count=$(wc -l <"$list")
  [[ $count -gt 1000 ]] || fatal 'there are not enough small files on this machine'
  for ((copy = 1; left > 0; copy++, left -= count)); do
    head -n "$((left < count ? left : count))" "$list" >"$part"
    tar -C / --no-recursion --hard-dereference --transform "s,^,$copy/," -rf "$file.new" -T "$part" 2>/dev/null
  done
  mv "$file.new" "$file"
  remove "$list" "$part"
}

make_trees() {
  tree=$cache/tree-$names_in_tree.tar
  small_tree=$cache/tree-$names_in_small_tree.tar
  make_tar "$tree" "$names_in_tree"
  make_tar "$small_tree" "$names_in_small_tree"
}

# ---- rounds and values

# rounds_of SECONDS: starts a sequence of rounds; more_rounds says whether there is another, and counts it in $round. There is
# one at least; another is begun only where it will end in time if it takes as long as those before.
rounds_of() {
  round=0
  round_begin=$SECONDS
  round_end=$((SECONDS + $1))
}

more_rounds() {
  local spent=$((SECONDS - round_begin))
  [[ $round -lt $rounds ]] || return 1
  [[ $round -eq 0 || $((SECONDS + spent / round)) -le $round_end ]] || return 1
  round=$((round + 1))
}

# record KEY WHO VALUE: of this round.
record() {
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$round" "$3" >>"$values"
}

# clocked KEY WHO COMMAND...: records the seconds that it takes as KEY, and of processors as KEY.cpu.
clocked() {
  local key=$1 who=$2 spent status
  local TIMEFORMAT='%R %U %S'
  shift 2
  { time run "$@" >"$fast/out" 2>&1; } 2>"$fast/time"
  status=$?
  if [[ $status != 0 ]]; then
    failed "$key" "$who"
    return "$status"
  fi
  spent=$(tail -n 1 "$fast/time")
  clocked_seconds=${spent%% *}
  record "$key" "$who" "$clocked_seconds"
  record "$key.cpu" "$who" "$(awk '{ print $2 + $3 }' <<<"$spent")"
}

# failed KEY WHO [MOUNT]: says why, from the output of what failed; without its mount there is no going on.
failed() {
  echo "bench.sh: warning: $1 failed on $2: $(tail -n 1 "$fast/out")" >&2
  [[ -z ${3:-} || $2 = native ]] || mountpoint -q "$3" || fatal "$3 is no longer mounted"
}

# ---- the table

heading() {
  printf '%s\n' "Machine:  $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors, $(free -g | awk '/^Mem/ { print $2 }') GiB, load $(cut -d ' ' -f 1 /proc/loadavg)${BENCH_RT:+, at real-time priority}"
  printf '%s\n' "Kernel:   $(uname -r); libfuse $(pkg-config --modversion fuse3); $(date -u +%Y-%m-%d)"
  printf '%s\n' "Places:   pinned: program, filesystem and reader of the journal on one processor; free: where the kernel puts them; uring: the same with -o io_uring"
  printf '%s\n' 'Stores:   in memory (tmpfs) unless a row says otherwise, so that no disk hides what a filesystem costs'
  printf '%s\n' 'Rounds:   n; a question mark behind a verdict: the goal lies within the spread'
  printf '%s\n\n' 'Ratios:   x: times as fast as the peer; of: share of the time that the peer takes; "of native": share of the speed without a mount'
  printf '%-34s %-6s %9s  %-21s %8s  %-13s %-15s %9s %7s %3s\n' \
    work place tfs peer ratio least-most goal native 'of nat.' n
}

# row KEY LABEL PLACE UNIT KIND PEER GOAL [PEER_KEY]: one line from the values of the key. UNIT: ops, s, us, bytes. KIND: x (the ratio says how
# many times better than the peer) or of (our share of the peer's time). PEER: the peer's name among the values (of PEER_KEY, if given). GOAL: a number, or -.
row() {
  awk -F '\t' -v key="$1" -v label="$2" -v place="$3" -v unit="$4" -v kind="$5" -v peer="$6" -v goal="$7" \
    -v peer_key="${8:-$1}" -f "$here/row.awk" "$values"
}

# limit LABEL VALUE UNIT GOAL: a line with a value that has a bound.
limit() {
  awk -v label="$1" -v value="$2" -v unit="$3" -v goal="$4" 'BEGIN {
    printf "%-34s %-6s %9s  %-21s %8s  %-13s %-15s\n", label, "", value " " unit, "-", "", "",
      goal == "-" ? "-" : "<= " goal (value <= goal ? " met" : " missed")
  }'
}

left_out() {
  printf '%-34s left out: %s\n' "$1" "$2"
}
