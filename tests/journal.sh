# For tests that record journals and replay them; read after lib.sh.
#
# shellcheck shell=sh

# use_disk [OPTION of mount]...: makes `disk`, an empty filesystem (mount_disk), with the empty directories `store` and `mirror` in it.
use_disk() {
  mkdir -p disk mnt
  mount_disk disk "$@"
  mkdir disk/store disk/mirror
}

drop_disk() {
  umount disk
}

# start_journal [PROGRAM] [OPTION]...: disk/store becomes mnt, and its journal disk/journal. PROGRAM instead of tfs_journal.
start_journal() {
  [ $# -gt 0 ] || set -- tfs_journal
  rm -f ready
  mkfifo ready
  "$@" --ready-fd 3 disk/store mnt >disk/journal 3>ready &
  journal_pid=$!
  track_pid "$journal_pid"
  read -r tfs_line <ready || fail "$1 did not start"
}

# stop_journal: the journal ends, and well.
stop_journal() {
  umount_tfs mnt
  wait "$journal_pid" || fail "tfs_journal ended with status $?"
}

# record COMMAND...: disk/journal becomes the journal of what the command did in mnt.
record() {
  start_journal
  "$@" || fail "status $?: $*"
  stop_journal
}

# fresh_mirror NAME: an empty directory disk/NAME that never was a mirror.
fresh_mirror() {
  rm -rf "disk/$1" "disk/.$1.tfs" 2>/dev/null || {
    chattr -R -f -ia "disk/$1" "disk/.$1.tfs" || true
    rm -rf "disk/$1" "disk/.$1.tfs"
  }
  mkdir "disk/$1"
}

# The epoch of the stream in a file.
epoch_of() {
  tfs_dump --no-data "$1" | sed -n '1s/.*"epoch":"\([0-9a-f]*\)".*/\1/p'
}

# ---- streams by hand: frames as lines of JSON, for `encode`

# Lines to frames. That END is missing is nothing to complain about.
encode() {
  tfs_dump --encode 2>encode.err || [ $? = 4 ] || fail "$(cat encode.err)"
}

epoch=e0e1e2e3e4e5e6e7e8e9eaebecedeeef
tfs_stamp=1785585601.000000005

# a_hello [EPOCH]: the store was empty when the epoch began.
a_hello() {
  printf '{"type":"HELLO","seq":0,"id":0,"links":0,"magic":"TFSTREAM","version":1,"flags":1,"epoch":"%s",' "${1:-$epoch}"
  printf '"time":"%s","host":"box","store":"/store"}\n' "$tfs_stamp"
}

# a_directory SEQ ID PATH [MODE]
a_directory() {
  printf '{"type":"MKDIR","seq":%d,"id":%d,"links":2,"mode":%d,"uid":0,"gid":0,' "$1" "$2" $((040000 | ${4:-0755}))
  printf '"mtime":"%s","parent-mtime":"%s","path":"%s","xattrs":[]}\n' "$tfs_stamp" "$tfs_stamp" "$3"
}

# a_file SEQ ID PATH [MODE]
a_file() {
  printf '{"type":"CREATE","seq":%d,"id":%d,"links":1,"mode":%d,"uid":0,"gid":0,' "$1" "$2" $((0100000 | ${4:-0644}))
  printf '"mtime":"%s","parent-mtime":"%s","path":"%s","xattrs":[]}\n' "$tfs_stamp" "$tfs_stamp" "$3"
}

# a_write SEQ ID PATH TEXT
a_write() {
  printf '{"type":"WRITE","seq":%d,"id":%d,"links":1,"offset":0,"mtime":"%s","mode":0,' "$1" "$2" "$tfs_stamp"
  printf '"path":"%s","data":"%s"}\n' "$3" "$(printf '%s' "$4" | base64 -w 0)"
}

# a_rename SEQ ID PATH NEW_PATH
a_rename() {
  printf '{"type":"RENAME","seq":%d,"id":%d,"links":1,"flags":0,"replaced":0,"whiteout-uid":0,"whiteout-gid":0,' "$1" "$2"
  printf '"whiteout-mtime":"0.000000000","parent-mtime":"%s","new-parent-mtime":"%s",' "$tfs_stamp" "$tfs_stamp"
  printf '"path":"%s","new-path":"%s"}\n' "$3" "$4"
}

# a_link SEQ ID PATH NEW_PATH
a_link() {
  printf '{"type":"LINK","seq":%d,"id":%d,"links":2,"parent-mtime":"%s","path":"%s","new-path":"%s"}\n' "$1" "$2" "$tfs_stamp" "$3" "$4"
}

# a_removal SEQ ID PATH [RMDIR]
a_removal() {
  printf '{"type":"%s","seq":%d,"id":%d,"links":0,%s"parent-mtime":"%s","path":"%s"}\n' \
    "${4:-UNLINK}" "$1" "$2" "$([ -n "${4:-}" ] || printf '"flags":0,')" "$tfs_stamp" "$3"
}

# a_mode SEQ ID PATH MODE: a number, with the type.
a_mode() {
  printf '{"type":"SETATTR","seq":%d,"id":%d,"links":1,"valid":1,"mode":%d,"uid":0,"gid":0,"atime":"%s","mtime":"%s","path":"%s"}\n' \
    "$1" "$2" "$4" "$tfs_stamp" "$tfs_stamp" "$3"
}

# an_xattr SEQ ID PATH NAME: with the value x.
an_xattr() {
  printf '{"type":"SETXATTR","seq":%d,"id":%d,"links":1,"mode":0,"name":"%s","value":"eA==","path":"%s"}\n' "$1" "$2" "$4" "$3"
}

# an_end SEQ
an_end() {
  printf '{"type":"END","seq":%d,"id":0,"links":0,"time":"%s"}\n' "$1" "$tfs_stamp"
}
