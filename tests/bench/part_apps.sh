# Programs that people run, on the mount: how long each takes there, on the plainest FUSE filesystem, and on none.
#
# An application NAME is up to four functions, each given a directory: app_NAME_once (once for each filesystem, at the beginning),
# app_NAME_before (off the clock), app_NAME (on the clock), app_NAME_after. What they need for all is made by app_NAME_needs,
# which says why not if it cannot.
# shellcheck shell=bash
# shellcheck disable=SC2154 # programs, fast, small_tree, round: common.sh
# shellcheck disable=SC2317,SC2329 # called by name

# ---- untar

app_untar_app_needs() { make_trees; }
app_untar_app_before() { mkdir "$1/tree"; }
app_untar_app() { tar -xf "$small_tree" -C "$1/tree"; }
app_untar_app_after() { remove "$1/tree"; }

# ---- git clone, then git status: the second, a second after the first has brought its index up to date

app_git_needs() {
  command -v git >/dev/null || { echo 'git is missing' && return 1; }
  git_repository=$fast/repository
  [[ ! -d $git_repository ]] || return 0
  make_trees
  mkdir "$git_repository"
  tar -xf "$small_tree" -C "$git_repository"
  git config --global safe.directory '*'
  git config --global gc.auto 0
  git -C "$git_repository" init -q
  git -C "$git_repository" add .
  git -C "$git_repository" -c user.name=bench -c user.email=bench@localhost commit -q -m tree
}
app_git() { git clone -q --no-hardlinks "$git_repository" "$1/clone"; }
app_git_then() {
  git -C "$1/clone" status --short
  sleep 1.1
  app_clocked app.git-status "$2" git -C "$1/clone" status --short
}
app_git_after() { remove "$1/clone"; }

# ---- sqlite: 300 transactions of one row, and one of 20,000

app_sqlite_needs() {
  command -v sqlite3 >/dev/null || { echo 'sqlite3 is missing' && return 1; }
  awk 'BEGIN {
    print "create table t (id integer primary key, text text);"
    for (i = 0; i < 20300; i++) {
      if (i == 300) print "begin;"
      printf "insert into t (text) values (\"row %d of the table\");\n", i
    }
    print "commit; select count(*) from t;"
  }' >"$fast/inserts.sql"
}
app_sqlite() { sqlite3 "$1/db" ".read $fast/inserts.sql"; }
app_sqlite_after() { rm -f "$1"/db*; }

# ---- a compile of 25 small C files, with headers beside them

app_compile_needs() {
  command -v "${CC:-gcc}" >/dev/null || { echo 'there is no C compiler' && return 1; }
  local i folder=$fast/sources
  mkdir -p "$folder"
  for ((i = 1; i <= 25; i++)); do
    printf '#pragma once\n#include <stdio.h>\n#include <stdlib.h>\nint f%d(int);\n' "$i" >"$folder/h$i.h"
    {
      printf '#include "h%d.h"\n' $(seq 1 25)
      printf 'int f%d(int x) { return x + %d; }\n' "$i" "$i"
    } >"$folder/s$i.c"
  done
  echo 'int f1(int); int main(void) { return f1(-1); }' >"$folder/main.c"
}
app_compile_before() { cp -r "$fast/sources" "$1/sources"; }
app_compile() {
  local file
  cd "$1/sources" || return
  for file in *.c; do "${CC:-gcc}" -O1 -c "$file" || return; done
  "${CC:-gcc}" -o program ./*.o && ./program
}
app_compile_after() { remove "$1/sources"; }

# ---- npm install, from npm's own cache, which is filled once

npm_package=express@4
npm_install() {
  (cd "$1" && echo '{ "private": true }' >package.json &&
    npm install --cache "$cache/npm" --no-audit --no-fund --no-progress --loglevel=error "${@:2}" "$npm_package")
}
app_npm_needs() {
  command -v npm >/dev/null || { echo 'npm is missing' && return 1; }
  mkdir -p "$fast/npm"
  run npm_install "$fast/npm" --prefer-offline >"$fast/out" 2>&1 ||
    { echo "npm is unable to get $npm_package: $(tail -n 1 "$fast/out")" && return 1; }
}
app_npm_before() { mkdir "$1/npm"; }
app_npm() { npm_install "$1/npm" --offline; }
app_npm_after() { remove "$1/npm"; }

# ---- PostgreSQL's pgbench: milliseconds a transaction, two clients

as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups env -C "$fast" "${postgres_path[@]}" "$@"; }

app_pgbench_needs() {
  local bin
  for bin in /usr/lib/postgresql/*/bin; do postgres_path=(PATH="$bin:$PATH"); done
  [[ -n ${postgres_path:-} ]] || { echo 'PostgreSQL is missing' && return 1; }
  id postgres >/dev/null 2>&1 || { echo 'there is no user postgres' && return 1; }
  as_postgres sh -c 'command -v initdb && command -v pgbench' >/dev/null || { echo 'pgbench is missing' && return 1; }
  mkdir -p "$fast/sockets"
  chown postgres "$fast/sockets"
}
app_pgbench_once() {
  mkdir "$1/data"
  chown postgres "$1/data"
  as_postgres initdb -N -A trust -D "$1/data"
}
app_pgbench_server() {
  as_postgres pg_ctl -s -w -D "$2/data" -l "$fast/sockets/log" -o "-k $fast/sockets -c listen_addresses=''" "${@:3}" "$1"
}
app_pgbench_before() {
  app_pgbench_server start "$1" || return
  pgbench_data=$1
  [[ $round -gt 1 ]] || as_postgres pgbench -h "$fast/sockets" -q -i -s 2 postgres
}
app_pgbench() { as_postgres pgbench -h "$fast/sockets" -n -c 2 -j 2 -t 750 postgres; }
app_pgbench_after() {
  app_pgbench_server stop "$1" -m immediate
  pgbench_data=
}

# A server makes itself a group of its own.
stop_servers() {
  [[ -z ${pgbench_data:-} ]] || timeout 10 bash -c "$(declare -f as_postgres app_pgbench_server)
    fast=$fast; $(declare -p postgres_path); app_pgbench_server stop '$pgbench_data' -m immediate" >/dev/null 2>&1
}

# ---- all

# if_there NAME...: calls a function if there is one.
if_there() {
  ! declare -F "$1" >/dev/null || "$@"
}

app_clocked() {
  if [[ $2 = uring ]]; then clocked "$1.uring" tfs "${@:3}"; else clocked "$@"; fi
}

app_one() {
  local app=$1 who=$2 dir=$3
  if_there "app_${app}_before" "$dir" >"$fast/out" 2>&1 || { sed "s,^,bench.sh: warning: $app: ," "$fast/out" >&2 && return; }
  app_clocked "app.$app" "$who" "app_$app" "$dir"
  if_there "app_${app}_then" "$dir" "$who" >"$fast/out" 2>&1
  if_there "app_${app}_after" "$dir" >"$fast/out" 2>&1
}

app_label() {
  case $1 in
  untar_app) echo "untar of $names_in_small_tree names" ;;
  git) echo 'git clone of them' ;;
  sqlite) echo 'sqlite, 301 transactions' ;;
  compile) echo 'compile of 26 C files' ;;
  npm) echo "npm install $npm_package" ;;
  pgbench) echo 'pgbench, 1500 transactions' ;;
  esac
}

app_rows() {
  row "$1" "$2" free s x passthrough 1.3
  [[ -z $with_uring ]] || row "$1.uring" "$2" uring s x passthrough 1.3 "$1"
}

bench_apps() {
  local app who with_uring= present=() mounts=() base=$fast/apps
  for app; do
    app=${app//-/_}
    if "app_${app}_needs" >"$fast/why" 2>&1; then present+=("$app"); else left_out "${app//_/-}" "$(tail -n 1 "$fast/why")"; fi
  done
  [[ ${#present[@]} -gt 0 ]] || return
  mkdir -p "$base.native"
  mount_passthrough free "$base.passthrough.store" "$base.passthrough"
  mounts+=("$base.passthrough $spawned_pid")
  mount_tfs free "$base.tfs.store" "$base.tfs"
  mounts+=("$base.tfs $spawned_pid")
  if has_uring; then
    mount_uring free "$base.uring.store" "$base.uring"
    mounts+=("$base.uring $spawned_pid")
    with_uring=uring
  fi
  for app in "${present[@]}"; do
    for who in native passthrough tfs $with_uring; do
      if_there "app_${app}_once" "$base.$who" >"$fast/out" 2>&1 || { cat "$fast/out" >&2; }
    done
  done
  rounds_of 110
  while more_rounds; do
    for app in "${present[@]}"; do
      for who in native passthrough tfs $with_uring; do app_one "$app" "$who" "$base.$who"; done
    done
  done
  for who in "${mounts[@]}"; do unmount "${who% *}" "${who##* }"; done
  remove "$base".*
  for app in "${present[@]}"; do
    app_rows "app.$app" "$(app_label "$app")"
    [[ $app != git ]] || app_rows app.git-status 'git status in it'
  done
}
