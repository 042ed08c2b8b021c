#!/bin/bash
# A mirror of a live tree, before your eyes: the pipeline of the README on this machine. A real tree is copied into the mount
# and changed there, while a mirror follows; frames and lag are shown as they happen, and both trees are compared at the end.
# `make demo` installs what is needed, builds, and runs this. Everything happens in a folder of its own, which is removed.

set -eu

top=$(cd "$(dirname "$0")/.." && pwd -P)
PATH=${TFS_BIN:-$top/bin}:$PATH
manifest=${TFS_TESTS:-$top/build/release/tests}/manifest
frames_shown=14
probes=200

die() {
  echo "demo.sh: fatal: $*" >&2
  exit 1
}

say() {
  if [[ -t 1 ]]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi
}

# Shows a command and runs it.
run() {
  printf '  # %s\n' "$1"
  eval "$1"
}

# Starts a function beside the show, in a process group of its own: it can be ended whole, and hears no Ctrl-C.
beside() {
  set -m
  "$@" &
  job=$!
  set +m
}

need() {
  local name
  [[ $(id -u) = 0 ]] || die 'only root can show this, for the copy has files of several owners: run it as root'
  [[ -e /dev/fuse ]] || die 'there is no /dev/fuse: "modprobe fuse" (in a container: start it with --device /dev/fuse --cap-add SYS_ADMIN)'
  for name in tfs_journal tfs_broadcast tfs_mirror tfs_dump socat jq git "$manifest"; do
    command -v "$name" >/dev/null || die "$name is missing: run \"make demo\""
  done
}

# ---- the end, however it comes

end_group() {
  local tries
  for ((tries = $2 * 10; tries > 0; tries--)); do
    kill -0 -- "-$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -- "-$1" 2>/dev/null || true
}

# First what works on the mount, then the mount, then the pipeline, which ends by that.
clean_up() {
  local status=$? group
  trap : INT TERM HUP
  trap - EXIT
  exec 2>/dev/null # where bash would say that jobs have ended
  cd /
  for group in "${works[@]}"; do end_group "$group" 0; done
  ! mountpoint -q "$folder/mnt" || umount "$folder/mnt" || umount -l "$folder/mnt"
  for group in "${pipeline[@]}"; do end_group "$group" 5; done
  rm -rf --one-file-system "$folder"
  exit "$status"
}

# ---- what is asked while it runs

at_journal() {
  tfs_broadcast --status --json socket | jq -r .last_seq
}

at_mirror() {
  tfs_mirror --position mirror 2>/dev/null | sed 's/.*://'
}

# Prints a line about the lag twice a second while the command runs.
show_lag() {
  local job now held
  beside "$@"
  works+=("$job")
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.5
    held=$(at_mirror)
    now=$(at_journal)
    printf '    journal at frame %7d, mirror at frame %7d: %d behind\n' "$now" "$held" "$((now - held))"
  done
  wait "$job"
}

wait_until_equal() {
  local now
  now=$(at_journal)
  until [[ $(at_mirror) -ge $now ]]; do sleep 0.02; done
}

# Frames as a second client of the same socket gets them, from now on.
follow_frames() {
  socat -u UNIX-CONNECT:socket - | tfs_dump --no-data | jq -r --unbuffered '
    def octal: if . < 8 then tostring else (. / 8 | floor | octal) + (. % 8 | tostring) end;
    select(.type != "HELLO" and .type != "HEARTBEAT") |
    [(.seq | tostring), .type, .path // "(nameless)", ."new-path" // .name // .target // empty,
     (if ."data-size" then "\(."data-size") bytes at \(.offset)" else empty end),
     (if .type == "SETATTR" then "mode \(.mode | octal) owner \(.uid):\(.gid)" else empty end)] | "    " + join(" ")' \
    >frames 2>/dev/null
}

# ---- what is done on the mount

pick_tree() {
  local tree
  for tree in /usr/share/perl /usr/include /usr/share/doc; do
    [[ -d $tree && $(find "$tree" -type f 2>/dev/null | head -n 500 | wc -l) -eq 500 ]] && echo "$tree" && return
  done
  die 'there is no tree to copy: neither /usr/share/perl nor /usr/include nor /usr/share/doc has 500 files'
}

small_changes() {
  run 'echo "a new file" > mnt/note'
  run 'echo "and a line more" >> mnt/note'
  run 'mv mnt/note "mnt/a name with a space"'
  run 'ln mnt/tree/'"$1"' mnt/second-name; ln -s second-name mnt/symlink'
  run 'chown 33:33 mnt/second-name; chmod 4750 mnt/second-name'
  run 'truncate -s 64M mnt/sparse; fallocate -p -o 4096 -l 8192 mnt/sparse'
  run 'mkfifo mnt/fifo; rm mnt/fifo'
}

large_changes() {
  local files
  mapfile -t files < <(find mnt/tree -type f 2>/dev/null | head -n 300)
  sed -i 's/the/THE/g' "${files[@]}"
  mkdir mnt/moved
  mv mnt/tree mnt/moved/renamed
  cp -a mnt/moved/renamed mnt/copy
  rm -rf mnt/moved/renamed
  mv mnt/copy mnt/tree
}

git_work() {
  local git=(git -C mnt/repo -c user.name=demo -c user.email=demo@localhost -c gc.auto=0 -c init.defaultBranch=main)
  mkdir mnt/repo
  cp -a mnt/tree/. mnt/repo/
  "${git[@]}" init -q
  "${git[@]}" add -A
  "${git[@]}" commit -q -m 'All of it'
  "${git[@]}" checkout -q -b side
  "${git[@]}" rm -q -r --cached .
  "${git[@]}" reset -q --hard main
  "${git[@]}" gc -q
}

# From the end of a write on the mount until the mirror has the file: milliseconds, a line each.
measure() {
  local i start
  for ((i = 0; i < probes; i++)); do
    printf 'probe %d\n' "$i" >mnt/probe
    start=$EPOCHREALTIME
    mv mnt/probe "mnt/probe.$i"
    until [[ -s mirror/probe.$i ]]; do :; done
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", (b - a) * 1000 }'
    rm "mnt/probe.$i"
  done
}

# ---- the parts of the show

source_end() {
  local status
  set +e
  tfs_journal store mnt 2>>said | tfs_broadcast --wait 1 socket 2>>said
  status="${PIPESTATUS[*]}"
  echo "$status" >source.status
}

mirror_end() {
  local status
  set +e
  socat -u UNIX-CONNECT:socket - 2>>said | tfs_mirror mirror 2>>said
  status="${PIPESTATUS[*]}"
  echo "$status" >mirror.status
}

is_serving() {
  [[ -S socket ]] && mountpoint -q mnt
}

is_mirroring() {
  [[ -n $(at_mirror) ]]
}

wait_until() {
  local tries
  for ((tries = 200; tries > 0; tries--)); do
    "$1" && return
    sleep 0.05
  done
  die "it did not start: $(cat said)"
}

start_pipeline() {
  local job
  say 'The source: a store, shown at mnt; each change becomes a frame for every client of a socket'
  echo '  # tfs_journal store mnt | tfs_broadcast --wait 1 socket'
  beside source_end
  pipeline+=("$job")
  wait_until is_serving
  say 'The mirror: any number of these, here or behind ssh'
  echo '  # socat -u UNIX-CONNECT:socket - | tfs_mirror mirror'
  beside mirror_end
  pipeline+=("$job")
  wait_until is_mirroring
}

copy_tree() {
  local tree
  tree=$(pick_tree)
  say "A real tree goes in: $tree, $(find "$tree" | wc -l) names, $(du -sh "$tree" | cut -f 1)"
  echo "  # cp -a $tree mnt/tree"
  show_lag cp -a "$tree" mnt/tree
}

change_tree() {
  local file job
  file=$(cd mnt/tree && find . -type f -size -64k | sed 's,^\./,,; /[^a-zA-Z0-9._/-]/d' | sort | head -n 1)
  say 'Small changes, and the frames that they make, seen by a second client of the socket'
  echo '  # socat -u UNIX-CONNECT:socket - | tfs_dump --no-data | jq ...'
  beside follow_frames
  works+=("$job")
  until [[ $(tfs_broadcast --status --json socket | jq '.clients | length') -ge 2 ]]; do sleep 0.02; done
  small_changes "$file"
  wait_until_equal
  for _ in {1..100}; do
    [[ $(wc -l <frames) -lt $frames_shown ]] || break
    sleep 0.05
  done
  { kill -- "-$job" && wait "$job"; } 2>/dev/null || true
  cut -c 1-150 frames
  say 'Large ones: 300 files edited, the tree copied, renamed, removed'
  show_lag large_changes
  say 'git init, add, commit, checkout, gc'
  show_lag git_work
}

show_latency() {
  local sorted
  wait_until_equal
  say "How long until a finished file is in the mirror ($probes times)"
  sorted=$(measure | sort -n)
  awk '{ v[NR] = $1 } END { printf "    median %.2f ms, 99 of 100 below %.2f ms\n", v[int((NR + 1) / 2)], v[int(NR * 0.99)] }' <<<"$sorted"
}

finish() {
  local names bytes frames statuses
  wait_until_equal
  say 'Unmounting ends the stream, and all that read it'
  frames=$(at_journal)
  run 'umount mnt'
  wait "${pipeline[@]}"
  statuses=$(cat source.status mirror.status | paste -sd ' ')
  [[ $statuses = '0 0 0 0' && ! -s said ]] || die "exit statuses $statuses: $(cat said)"

  say 'Proof'
  run 'diff -r --no-dereference store mirror' || die 'UNEQUAL: content or names differ'
  run 'git -C mirror/repo fsck --no-progress' || die 'UNEQUAL: the repository is broken'
  echo '  # diff <(manifest store) <(manifest mirror)    types, modes, owners, times, xattrs, ACLs, hard links, holes'
  "$manifest" store >store.manifest
  "$manifest" mirror >mirror.manifest
  diff store.manifest mirror.manifest || die 'UNEQUAL: attributes differ'
  names=$(find store | wc -l)
  bytes=$(du -sh store | cut -f 1)
  say "EQUAL: after $frames frames the mirror is exactly the store ($names names, $bytes)."
}

main() {
  need
  works=() pipeline=()
  folder=$(mktemp -d "${TMPDIR:-/var/tmp}/tfs-demo.XXXXXX")
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  cd "$folder"
  mkdir store mnt mirror
  touch said
  start_pipeline
  copy_tree
  change_tree
  show_latency
  finish
}

main "$@"
