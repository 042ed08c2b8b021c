# A large tree unpacked on the mount: how long until the mirror is exact.
# shellcheck shell=bash
# shellcheck disable=SC2154 # cache, fast, tree, round: common.sh

lsyncd_names=2000  # in the run of all; lsyncd needs minutes for a large tree, and its time does not grow in step with the names

seconds_since() {
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }'
}

# untar_mirrored KEY ARCHIVE READER: the time until a file that was made last is in the mirror, which is after all others.
untar_mirrored() {
  local key=$1 archive=$2 reader=$3 base=$fast/untar pid start
  mkdir -p "$base.mirror"
  mount_tfs free "$base.store" "$base" "$reader"
  pid=$spawned_pid
  start=$EPOCHREALTIME
  run tar -xf "$archive" -C "$base" && : >"$base/last"
  if wait_for 120 test -e "$base.mirror/last"; then
    record "$key" tfs "$(seconds_since "$start")"
  else
    echo "bench.sh: warning: the mirror did not follow within 120 s" >&2
  fi
  unmount "$base" "$pid"
  [[ $round -gt 1 ]] || diff -r "$base.store" "$base.mirror" >/dev/null ||
    echo "bench.sh: warning: the mirror differs from the store" >&2
  remove_mirror "$base.mirror"
  remove "$base" "$base".*
}

untar_alone() {
  local base=$fast/untar pid
  mount_tfs free "$base.store" "$base"
  pid=$spawned_pid
  clocked untar.mount tfs tar -xf "$tree" -C "$base" && record untar.alone 'tar alone' "$clocked_seconds"
  unmount "$base" "$pid"
  remove "$base" "$base".*
}

# untar_lsyncd KEY ARCHIVE SECONDS: the same with lsyncd, until its target has all names; fails after so many seconds.
untar_lsyncd() {
  local key=$1 archive=$2 limit=$3 base=$fast/untar.lsyncd pid start wanted found=0 deadline
  start_lsyncd free "$base" "$base.mirror"
  pid=$spawned_pid
  start=$EPOCHREALTIME
  deadline=$((SECONDS + limit))
  run tar -xf "$archive" -C "$base"
  wanted=$(find "$base" | wc -l)
  while [[ $found -lt $wanted && $SECONDS -lt $deadline ]]; do
    sleep 0.1
    found=$(find "$base.mirror" 2>/dev/null | wc -l)
  done
  record "$key" lsyncd "$(seconds_since "$start")"
  [[ $found -ge $wanted ]] || left_out '  lsyncd in the row below' "ended after $limit s, when $found of $wanted names were there"
  end "$pid"
  remove "$base" "$base".*
}

by_pipe() {
  # shellcheck disable=SC2016 # for the shell that is started
  printf '"$TFS_BIN/tfs_mirror" "%s"' "$fast/untar.mirror"
}

bench_untar() {
  local native=$fast/untar.native archive=$cache/tree-$lsyncd_names.tar
  make_trees
  make_tar "$archive" "$lsyncd_names"
  rounds_of 60
  while more_rounds; do
    mkdir "$native"
    clocked untar.mount native tar -xf "$tree" -C "$native"
    remove "$native"
    untar_alone
    untar_mirrored untar.pipe "$tree" "$(by_pipe)"
    untar_mirrored untar.broadcast "$tree" "{ $(through_broadcast "$fast/untar.mirror"); }"
    untar_mirrored untar.few "$archive" "$(by_pipe)"
    ! command -v lsyncd >/dev/null || untar_lsyncd untar.few "$archive" 40
  done
  row untar.mount "untar of $names_in_tree names" free s of native -
  row untar.pipe '  until the mirror is exact' free s of 'tar alone' 1.2 untar.alone
  row untar.broadcast '  the same, broadcast and socket' free s of 'tar alone' 1.2 untar.alone
  row untar.few "  the same with $lsyncd_names names" free s x lsyncd 50
}

bench_lsyncd() {
  command -v lsyncd >/dev/null || { left_out lsyncd 'lsyncd is missing' && return; }
  make_trees
  rounds_of 1
  more_rounds
  untar_mirrored lsyncd "$tree" "$(by_pipe)"
  untar_lsyncd lsyncd "$tree" 200
  row lsyncd "untar of $names_in_tree until exact" free s x lsyncd 50
}
