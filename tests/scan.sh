# Scans by hand, for streams that `encode` makes: frames as lines of JSON; read after lib.sh and journal.sh.
#
# shellcheck shell=sh disable=SC2154

# frame TYPE SEQ ID LINKS FIELDS
frame() {
  printf '{"type":"%s","seq":%d,"id":%d,"links":%d,%s}\n' "$@"
}

# a_late_hello: the store was not empty when the epoch began.
a_late_hello() {
  a_hello | sed 's/"flags":1/"flags":0/'
}

# a_scan SEQ [PATH]: SCANBEGIN
a_scan() {
  frame SCANBEGIN "$1" 0 0 "\"scan\":1,\"seed\":1,\"flags\":$([ -n "${2:-}" ] && echo 0 || echo 1),\"path\":\"${2:-.}\""
}

a_scan_end() {
  frame SCANEND "$1" 0 0 '"scan":1,"names":0,"bytes":0'
}

# an_entry SEQ ID LINKS PATH MODE [SIZE]
an_entry() {
  frame ENTRY "$1" "$2" "$3" "\"flags\":0,\"mode\":$(($5)),\"uid\":0,\"gid\":0,\"major\":0,\"minor\":0,\"inode-flags\":0,\"size\":${6:-0},\"mtime\":\"$tfs_stamp\",\"path\":\"$4\",\"target\":\"\",\"xattrs\":[]"
}

# a_list SEQ ID PATH [NAME:KIND]...: all that is in a directory; the kinds are 8 for a file, 4 for a directory.
a_list() {
  list_seq=$1
  list_id=$2
  list_path=$3
  list_names=
  shift 3
  for list_name in "$@"; do
    list_names="$list_names${list_names:+,}{\"name\":\"${list_name%:*}\",\"kind\":${list_name##*:}}"
  done
  frame LIST "$list_seq" "$list_id" 0 "\"flags\":3,\"path\":\"$list_path\",\"entries\":[$list_names]"
}

# a_hash SEQ ID LINKS PATH LENGTH: one that no content fits.
a_hash() {
  frame HASH "$1" "$2" "$3" "\"offset\":0,\"length\":$5,\"holes\":0,\"hash-low\":1,\"hash-high\":2,\"path\":\"$4\""
}

# a_given SEQ ID PATH TEXT: an answer, which takes two frames.
a_given() {
  frame DATA "$1" "$2" 0 "\"offset\":0,\"path\":\"$3\",\"data\":\"$(printf %s "$4" | base64 -w 0)\""
  frame GIVEN $(($1 + 1)) "$2" 0 "\"offset\":0,\"length\":${#4},\"path\":\"$3\""
}
