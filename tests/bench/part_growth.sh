# What must not cost more where there is more of it: operations on a mount, the way to the mirror, and a mirror's restart, with few and with
# millions of names. Store and mirror are made past the mount, and the mount is shown all of it before anything but the first look
# at a name is measured. All on one processor: where the kernel puts programs makes more of a difference than what is looked for.
# shellcheck shell=bash
# shellcheck disable=SC2154 # programs, fast, round: common.sh

growth_few=1000  # half of them to make links of one
growth_many=100000
growth_most=3000000  # a third of them in one directory
growth_most_needs=12  # GiB
growth_levels=200
growth_links=10000
growth_restarts=5

# growth_place PLACE: sets $tree (the mount that it is in), $dir (below that), $count (of its files), $linked (the file that they are links of).
growth_place() {
  tree=$1 dir=tree/d0 count=999 linked=()
  case $1 in
  few) count=$((growth_few / 2 - 1)) ;;
  link) tree=few dir=links count=$((growth_few / 2)) linked=(f0) ;;
  wide) tree=most dir=wide count=$((growth_most / 3)) ;;
  deep) tree=many dir=deep/$growth_deep count=1000 ;;
  links) tree=many dir=links count=$growth_links linked=(f0) ;;
  esac
}

growth_make() {
  local size=$1 base=$fast/growth/$1 kind dirs=()
  for kind in store mirror; do
    mkdir -p "$base.$kind"/{tree,wide,deep,links}
    dirs+=("$base.$kind")
  done
  case $size in
  few)
    run "$programs/growth" tree "$((growth_few / 2))" "${dirs[@]/%//tree}"
    run "$programs/growth" wide "$((growth_few / 2))" "${dirs[@]/%//links}"
    ;;
  many)
    run "$programs/growth" tree "$growth_many" "${dirs[@]/%//tree}"
    run "$programs/growth" links "$growth_links" "${dirs[@]/%//links}"
    run "$programs/growth" deep "$growth_levels" "${dirs[@]/%//deep}" >"$fast/out"
    growth_deep=$(cat "$fast/out")
    ;;
  most)
    run "$programs/growth" tree "$((growth_most - growth_most / 3))" "${dirs[@]/%//tree}"
    run "$programs/growth" wide "$((growth_most / 3))" "${dirs[@]/%//wide}"
    ;;
  esac
}

# Behind a spool, so that a mirror can be away; in small segments, for in these a place is looked for from the beginning.
growth_mount() {
  local base=$fast/growth/$1
  # shellcheck disable=SC2016 # for the shell that is started
  mount_tfs pinned "$base.store" "$base" '"$TFS_BIN/tfs_buffer" --no-output --segment 1M '"$base.spool"
  growth_mounts[$1]=$spawned_pid
}

growth_follow() {
  local base=$fast/growth/$1
  spawn placed pinned "$TFS_BIN/tfs_mirror" --assume-equal "$base.mirror" -- "$TFS_BIN/tfs_buffer" --read --follow --from %p "$base.spool"
  growth_mirrors[$1]=$spawned_pid
}

# growth_record OPERATION PLACE MICROSECONDS
growth_record() {
  local who=tfs
  [[ $2 != few && $2 != link ]] || who='1,000 names'
  record "growth.$1.$2" "$who" "$3"
}

growth_first() {
  local tree dir count linked found
  growth_place "$1"
  found=$(placed pinned "$programs/growth" first "$((100 * round))" "$fast/growth/$tree/$dir") || fatal 'unable to look at names'
  growth_record first "$1" "$found"
}

growth_operations() {
  local tree dir count linked name found
  growth_place "$1"
  run placed pinned "$programs/growth" time "$count" "$fast/growth/$tree/$dir" "${linked[@]}" >"$fast/out" || fatal 'unable to work in a large tree'
  while read -r name found; do growth_record "$name" "$1" "$found"; done <"$fast/out"
}

growth_mirrored() {
  local tree dir count linked found
  growth_place "$1"
  found=$(placed pinned "$programs/latency" --count 50 --gap 5 ${linked[0]:+--link "${linked[0]}"} \
    "$fast/growth/$tree/$dir" "$fast/growth/$tree.mirror/$dir") || fatal 'the mirror does not follow'
  growth_record mirrored "$1" "${found%% *}"
}

growth_position() {
  "$TFS_BIN/tfs_journal" --status "$fast/growth/$1" | awk '$1 == "position" { print $2 }'
}

# Each from its position on, until it has applied one file more.
growth_restart_all() {
  local base=$fast/growth/$1 position held
  for position in "${@:2}"; do
    held=$("$TFS_BIN/tfs_mirror" --position "$base.mirror") &&
      "$TFS_BIN/tfs_buffer" --read --from "$held" "$base.spool" |
      placed pinned "$TFS_BIN/tfs_mirror" --until "$position" "$base.mirror" || return
  done
}

# A mirror that is killed is started again and again.
growth_restart() {
  local size=$1 i positions=()
  signal_group KILL "${growth_mirrors[$size]}"
  wait "${growth_mirrors[$size]}" 2>/dev/null
  forget "${growth_mirrors[$size]}"
  for ((i = 0; i < growth_restarts; i++)); do
    : >"$fast/growth/$size/restart.$round.$i"
    positions+=("$(growth_position "$size")")
  done
  clocked "growth.restarts.$size" tfs growth_restart_all "$size" "${positions[@]}" &&
    growth_record restart "$size" "$(awk -v s="$clocked_seconds" -v n="$growth_restarts" 'BEGIN { print s / n * 1e6 }')"
}

# With a mirror that has caught up.
growth_follow_all() {
  local place size
  for size in "${sizes[@]}"; do
    growth_follow "$size"
    "$TFS_BIN/tfs_mirror" --wait "$(growth_position "$size")" --timeout 60 "$fast/growth/$size.mirror" || fatal 'the mirror does not follow'
  done
  for place in "${places[@]}"; do growth_mirrored "$place"; done
  for size in "${sizes[@]}"; do growth_restart "$size"; done
}

growth_rows() {
  local place=$1 operation label peer=few
  [[ $place != links ]] || peer=link
  while read -r operation label; do
    [[ $operation != restart || $place = many || $place = most ]] || continue
    [[ $place != links ]] || label=${label/create, write, close/link} label=${label/close/link}
    row "growth.$operation.$place" "  $label" pinned us of '1,000 names' 1.5 "growth.$operation.$peer"
  done <<'END'
first stat, first time
stat stat, known
make create, write, close
rename rename
unlink unlink
mirrored from close to mirror
restart restart of the mirror
END
}

bench_growth() {
  local size place sizes=(few many) places=(few many deep link links) growth_deep rounds=$rounds
  local -A growth_mounts growth_mirrors
  mkdir "$fast/growth"
  mount -t tmpfs -o nr_inodes=0,mode=711 tfs-bench "$fast/growth" || { left_out growth 'there is no tmpfs to be had' && return; }
  if [[ $(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo) -ge $growth_most_needs ]]; then
    sizes+=(most)
    places+=(most wide)
  fi
  for size in "${sizes[@]}"; do
    growth_make "$size"
    growth_mount "$size"
  done
  rounds_of 10
  while more_rounds; do
    for place in "${places[@]}"; do growth_first "$place"; done
  done
  for size in "${sizes[@]}"; do run find "$fast/growth/$size" -size +99G; done
  rounds=$((3 * rounds))
  rounds_of 15
  while more_rounds; do
    for place in "${places[@]}"; do growth_operations "$place"; done
  done
  rounds=$((rounds / 3))
  rounds_of 15
  while more_rounds; do growth_follow_all; done
  for size in "${sizes[@]}"; do unmount "$fast/growth/$size" "${growth_mounts[$size]}"; done
  umount "$fast/growth"
  for place in many most wide deep links; do
    case $place in
    many) echo "in a tree of 100,000 names" ;;
    most) echo "in a tree of 3,000,000 names" ;;
    wide) echo "in a directory of a million" ;;
    deep) echo "$growth_levels levels deep" ;;
    links) echo "with a file of $growth_links links" ;;
    esac
    if [[ $place = @(most|wide) && ${#sizes[@]} -lt 3 ]]; then
      left_out '  all' "less than $growth_most_needs GiB of memory are free"
    else
      growth_rows "$place"
    fi
  done
}
