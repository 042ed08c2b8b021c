# What the tools hold in memory.
# shellcheck shell=bash
# shellcheck disable=SC2154 # programs, fast, tree, small_tree: common.sh

# memory_of PID FIELD: a line of /proc/PID/status, in bytes.
memory_of() {
  awk -v f="$2:" '$1 == f { print $2 * 1024 }' "/proc/$1/status"
}

process_of() {
  pgrep -g "$1" -x "$2" | head -n 1
}

# Bytes of its own that tfs_journal holds for each inode that the kernel knows, without the inode's name: the difference between
# the first of the tree's copies and all of them, so that what it holds in any case does not count.
memory_of_inodes() {
  local base=$fast/memory group pid before after names length seen
  mkdir -p "$base.store"
  tar -xf "$tree" -C "$base.store"
  mount_tfs free "$base.store" "$base"
  group=$spawned_pid
  pid=$(process_of "$group" tfs_journal)
  run find "$base/1" -size +99G
  before=$(memory_of "$pid" RssAnon)
  seen=$(find "$base.store/1" | wc -l)
  run find "$base" -size +99G
  after=$(memory_of "$pid" RssAnon)
  names=$(($(find "$base.store" | wc -l) - seen))
  length=$(find "$base.store" -printf '%f\n' | awk '{ n += length($0) } END { print n / NR }')
  unmount "$base" "$group"
  remove "$base" "$base".*
  limit 'tfs_journal, each inode' \
    "$(awk -v a="$before" -v b="$after" -v n="$names" -v l="$length" 'BEGIN { printf "%.0f", (b - a) / n - l }')" B 200
}

# The most that each tool of a pipeline held while a tree went through.
memory_of_pipeline() {
  local base=$fast/memory group tool pid
  mkdir -p "$base.mirror"
  mount_tfs free "$base.store" "$base" "{ $(through_broadcast "$base.mirror"); }"
  group=$spawned_pid
  run tar -xf "$small_tree" -C "$base"
  : >"$base/last"
  wait_for 60 test -e "$base.mirror/last"
  for tool in tfs_broadcast tfs_mirror tfs_journal; do
    pid=$(process_of "$group" "$tool")
    limit "$tool, at most" "$(memory_of "$pid" VmHWM | awk '{ printf "%.1f", $1 / 1048576 }')" MiB \
      "$([[ $tool = tfs_journal ]] && echo - || echo 8)"
  done
  unmount "$base" "$group"
  remove_mirror "$base.mirror"
  remove "$base" "$base".*
}

bench_memory() {
  make_trees
  memory_of_inodes
  memory_of_pipeline
}
