# From a program's close(2) of a small new file until its content is in the mirror.
# shellcheck shell=bash
# shellcheck disable=SC2154 # programs, fast, round: common.sh

# lsyncd as fast as it can be: no delay, rsync to a directory of the same machine.
start_lsyncd() {
  local place=$1 source=$2 target=$3
  mkdir -p "$source" "$target"
  cat >"$fast/lsyncd.lua" <<END
settings { nodaemon = true, logfile = "$fast/lsyncd.log", statusFile = "$fast/lsyncd.status" }
sync { default.rsync, source = "$source", target = "$target", delay = 0, rsync = { archive = true } }
END
  spawn placed "$place" lsyncd "$fast/lsyncd.lua" >/dev/null 2>&1
  echo there >"$source/first"
  wait_for 10 test -s "$target/first" || fatal 'lsyncd does not work'
}

# through_broadcast MIRROR: the reader that stands between journal and mirror, as on another machine.
through_broadcast() {
  # shellcheck disable=SC2016 # for the shell that is started
  printf '"$TFS_BIN/tfs_broadcast" --wait 1 "%s.socket" <&0 & until [ -S "%s.socket" ]; do sleep 0.01; done
    socat -u "UNIX-CONNECT:%s.socket" - | "$TFS_BIN/tfs_mirror" "%s"; wait' "$1" "$1" "$1" "$1"
}

latency_one() {
  local key=$1 who=$2 place=$3 source=$4 mirror=$5 found
  found=$(placed "$place" "$programs/latency" --count 100 --gap 10 "$source" "$mirror") || return
  record "$key" "$who" "$(cut -d ' ' -f 1 <<<"$found")"
  record "$key.p99" "$who" "$(cut -d ' ' -f 2 <<<"$found")"
}

bench_latency() {
  local place way base mounts=() daemons=() load
  for place in pinned free; do
    base=$fast/latency.$place
    mkdir -p "$base".{direct,broadcast}.mirror
    # shellcheck disable=SC2016
    mount_tfs "$place" "$base.direct.store" "$base.direct" '"$TFS_BIN/tfs_mirror" '"$base.direct.mirror"
    mounts+=("$base.direct $spawned_pid")
    mount_tfs "$place" "$base.broadcast.store" "$base.broadcast" "{ $(through_broadcast "$base.broadcast.mirror"); }"
    mounts+=("$base.broadcast $spawned_pid")
    if command -v lsyncd >/dev/null; then
      start_lsyncd "$place" "$base.lsyncd" "$base.lsyncd.mirror"
      daemons+=("$spawned_pid")
    fi
  done
  sleep 0.5
  rounds_of 40
  while more_rounds; do
    for place in pinned free; do
      base=$fast/latency.$place
      for way in direct broadcast; do
        latency_one "latency.$way.$place" tfs "$place" "$base.$way" "$base.$way.mirror"
      done
      [[ ${#daemons[@]} -gt 0 ]] || continue
      latency_one "latency.lsyncd.$place" lsyncd "$place" "$base.lsyncd" "$base.lsyncd.mirror"
    done
    # Under load: another program makes files on the same mount as fast as it can.
    base=$fast/latency.free.broadcast
    mkdir -p "$base/load"
    spawn "$programs/fsbench" --seconds 2 "$base/load" create >/dev/null
    load=$spawned_pid
    latency_one latency.load tfs free "$base" "$base.mirror"
    wait "$load"
    forget "$load"
  done
  for place in "${mounts[@]}"; do unmount "${place% *}" "${place##* }"; done
  for place in "${daemons[@]}"; do end "$place"; done
  remove "$fast"/latency.* "$fast"/.latency.*
  for place in pinned free; do
    row "latency.direct.$place" 'small file to mirror, by a pipe' "$place" us x lsyncd 20 "latency.lsyncd.$place"
    row "latency.direct.$place.p99" '  the slowest of 100' "$place" us x lsyncd - "latency.lsyncd.$place.p99"
    row "latency.broadcast.$place" 'the same, broadcast and socket' "$place" us x lsyncd 20 "latency.lsyncd.$place"
    row "latency.broadcast.$place.p99" '  the slowest of 100' "$place" us x lsyncd - "latency.lsyncd.$place.p99"
  done
  row latency.load '  under full load' free us x - -
  row latency.load.p99 '  the slowest of 100 under load' free us x - -
  [[ ${#daemons[@]} -gt 0 ]] || left_out 'latency of lsyncd' 'lsyncd is missing'
}
