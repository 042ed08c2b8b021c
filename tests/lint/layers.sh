#!/bin/bash
# Fails where something is included that STYLE does not allow: an include points to a lower rank or to the own module, lib knows
# neither cmd nor tests, one tool does not know another, what is pure includes no kernel header, <uv.h> stands in lib/loop alone
# and FUSE in lib/journal alone; and where something is printed to standard output, which is the stream.
#
#   layers.sh [TOP]

set -eu

top=$(realpath "${1:-$(dirname "$0")/../..}")
cd "$top"
failed=0

# A module that is not here has to find its rank first.
declare -A rank=([base]=1 [format]=2 [sys]=2 [control]=3 [dump]=3 [loop]=3
  [apply]=4 [cli]=4 [fanout]=4 [journal]=4 [scan]=4 [source]=4 [spool]=4)
pure='base format dump'
kernel='^(unistd|fcntl|poll|signal|dirent|sched|spawn|pthread|termios|mntent|ftw|ifaddrs|netdb)\.h$|^(sys|linux|asm|net|netinet|arpa)/'

# What a person asked for by an option: --help, --version, --position, --status, --dry-run.
prints='lib/cli/options.cc cmd/tfs_broadcast/main.cc cmd/tfs_buffer/main.cc cmd/tfs_mirror/main.cc cmd/tfs_scan/main.cc'

complain() {
  echo "layers.sh: $*" >&2
  failed=1
}

# has WORD LIST
has() {
  [[ " $2 " = *" $1 "* ]]
}

# Every include as "FILE:LINE KIND NAME", KIND is " or <.
includes() {
  grep -rnE --include='*.cc' --include='*.h' '^[[:space:]]*#[[:space:]]*include' lib cmd tests |
    sed -E 's/^([^:]*:[0-9]+):[^"<]*(["<])([^">]*).*/\1 \2 \3/'
}

check_ours() {
  local at=$1 name=$2 from to
  from=${at%%:*}
  [[ $name = lib/* || $name = cmd/* || $name = tests/* ]] || { complain "$at: \"$name\" does not begin at the top" && return; }
  [[ $from = tests/* ]] && return
  if [[ $from = cmd/* ]]; then
    [[ $name = lib/* || ${name%/*} = "${from%/*}" ]] || complain "$at: a tool includes $name"
    return
  fi
  from=${from#lib/} from=${from%%/*}
  [[ -n ${rank[$from]:-} ]] || { complain "$at: lib/$from has no rank in layers.sh" && return; }
  [[ $name = lib/* ]] || { complain "$at: lib includes $name" && return; }
  to=${name#lib/} to=${to%%/*}
  [[ $to = "$from" || ${rank[$to]:-9} -lt ${rank[$from]} ]] || complain "$at: lib/$from must not know lib/$to"
}

check_foreign() {
  local at=$1 name=$2 from
  from=${at%%:*} from=${from%/*}
  case $name in
  uv.h | uv/*) [[ $from = lib/loop ]] || complain "$at: <$name> is for lib/loop alone" ;;
  fuse*.h | fuse*/* | linux/fuse.h) [[ $from = lib/journal || $from = tests/* ]] || complain "$at: <$name> is for lib/journal alone" ;;
  esac
  if [[ $from = lib/* ]] && has "${from#lib/}" "$pure" && [[ $name =~ $kernel ]]; then
    complain "$at: $from is pure, and <$name> is the kernel's"
  fi
}

count=0
while read -r at kind name; do
  count=$((count + 1))
  if [[ $kind = '"' ]]; then check_ours "$at" "$name"; else check_foreign "$at" "$name"; fi
done < <(includes)
[[ $count -gt 300 ]] || complain "only $count includes found in $top"

while IFS=: read -r file line text; do
  has "$file" "$prints" || complain "$file:$line: prints to standard output, which is the stream:$text"
done < <(grep -rnE --include='*.cc' --include='*.h' \
  '\b(std::)?(cout|puts|putchar|printf|vprintf)\b *[(<]|\b(std::)?(fputs|fputc|fwrite|fprintf|vfprintf)\(.*stdout|fmt::print\(("|stdout)|std::print' \
  lib cmd)
exit "$failed"
