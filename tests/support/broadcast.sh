# For the tests of tfs_broadcast: one that serves the socket "s", fed through descriptor 3 of the test.
#
# shellcheck shell=sh disable=SC2034

make_stream=$TFS_TESTS/make_stream
client=$TFS_TESTS/stream_client
broadcast=$TFS_BIN/tfs_broadcast

# serve [OPTION]...: starts it; its process is $server, what it says goes to "said". Descriptor 3 is its standard input.
serve() {
  rm -f in ready
  mkfifo in
  "$broadcast" "$@" --ready-fd 9 s <in 9>ready 2>said &
  server=$!
  track_pid "$server"
  exec 3>in
  wait_for 10 test -s ready || fail "it does not serve: $(cat said)"
}

# server_ends STATUS: it ends by itself, with this status.
server_ends() {
  exec 3>&-
  server_status=0
  wait "$server" || server_status=$?
  [ "$server_status" = "$1" ] || fail "the server ended with $server_status instead of $1: $(cat said)"
}

# ends PID STATUS: so does a client.
ends() {
  client_status=0
  wait "$1" || client_status=$?
  [ "$client_status" = "$2" ] || fail "the client ended with $client_status instead of $2"
}

# unsanitized WHY: skips a test where the sanitizers themselves would fail.
unsanitized() {
  ! grep -Fqe __asan_init -e __tsan_init "$broadcast" || skip "$1"
}

is_served() {
  [ "$("$broadcast" --status --json s | tr '{' '\n' | grep -c lag_frames)" = "$1" ]
}

# clients_are N: waits until so many are served.
clients_are() {
  wait_for 10 is_served "$1" || fail "there are not $1 clients: $("$broadcast" --status s)"
}

# status_field NAME: the first of that name in the status.
status_field() {
  "$broadcast" --status --json s | sed 's/[,{]/\n/g' | sed -n "s/^\"$1\":\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" | head -n 1
}

no_socket_is_left() {
  for file in s s.ctl; do
    [ ! -e "$file" ] || fail "$file is left"
  done
}

# have_mode OCTAL FILE...
have_mode() {
  wanted=$1
  shift
  for file in "$@"; do
    [ "$(stat -c %a "$file")" = "$wanted" ] || fail "$file has the mode $(stat -c %a "$file")"
  done
}

has() {
  grep -Fq -e "$2" "$1" || fail "$1 does not have \"$2\" but: $(cat "$1")"
}
