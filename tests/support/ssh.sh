# For the tests over ssh: after start_sshd, `ssh master COMMAND` runs COMMAND in the folder master of the test, through a
# sshd of the test's own. rsync and the tools find this ssh, too.
#
# shellcheck shell=sh disable=SC2034

# start_sshd ADDRESS [COMMAND]...: sshd listens at ADDRESS, on any free port; the COMMAND (nsenter and its options) stands
# before it. Its process is $sshd_pid, its log ssh/log. Each session appends "PROCESS COMMAND" to ssh/sessions, where
# the process is sshd's.
start_sshd() {
  sshd_address=$1
  shift
  mkdir -p ssh/bin master /run/sshd # Debian's sshd wants that, even with a configuration of its own
  ssh-keygen -q -t ed25519 -N '' -f ssh/host_key
  ssh-keygen -q -t ed25519 -N '' -f ssh/user_key
  write_ssh_files
  on_exit end_sessions
  sshd_path=$(command -v sshd) # which sshd wants to know of itself
  sshd_try=0
  until try_sshd "$((20000 + ($$ + sshd_try * 997) % 12000))" "$@"; do
    sshd_try=$((sshd_try + 1))
    [ "$sshd_try" -lt 20 ] || fail "sshd did not start: $(cat ssh/log)"
  done
}

# PAM only where root has a locked password, which sshd refuses without it. Another home, since root's shell reads what root
# has there.
write_ssh_files() {
  ssh_pam=no
  case $(getent shadow root | cut -d : -f 2) in
  '!'*) ssh_pam=yes ;;
  esac
  cat >ssh/sshd_config <<END
ListenAddress $sshd_address
HostKey "$TFS_RUN/ssh/host_key"
AuthorizedKeysFile "$TFS_RUN/ssh/user_key.pub"
ForceCommand "$TFS_RUN/ssh/bin/on_master"
SetEnv "HOME=$TFS_RUN/ssh"
PidFile none
UsePAM $ssh_pam
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
END
  # Newer ones shut out for a while whose sessions were killed.
  ! "$(command -v sshd)" -t -o PerSourcePenalties=no -f ssh/sshd_config 2>/dev/null ||
    echo 'PerSourcePenalties no' >>ssh/sshd_config
  cat >ssh/config <<END
Host master
HostName $sshd_address
HostKeyAlias master
User root
IdentityFile "$TFS_RUN/ssh/user_key"
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile "$TFS_RUN/ssh/known_hosts"
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
ControlPath none
LogLevel ERROR
END
  echo "master $(cat ssh/host_key.pub)" >ssh/known_hosts
  : >ssh/sessions
  # With the environment of the test, so that its runner knows what is left behind.
  export -p >ssh/environment
  cat >ssh/bin/on_master <<END
#!/bin/sh
words=\$SSH_ORIGINAL_COMMAND
. '$TFS_RUN/ssh/environment'
cd '$TFS_RUN/master' || exit
echo "\$PPID \$words" >>'$TFS_RUN/ssh/sessions'
exec sh -c "\$words"
END
  cat >ssh/bin/ssh <<END
#!/bin/sh
exec '$(command -v ssh)' -F '$TFS_RUN/ssh/config' "\$@"
END
  chmod +x ssh/bin/on_master ssh/bin/ssh
  PATH=$TFS_RUN/ssh/bin:$PATH
}

# try_sshd PORT [COMMAND]...
try_sshd() {
  sshd_port=$1
  shift
  "$@" "$sshd_path" -D -e -f ssh/sshd_config -p "$sshd_port" 2>ssh/log &
  sshd_pid=$!
  track_pid "$sshd_pid"
  wait_for 10 sshd_has_begun
  grep -q '^Server listening on' ssh/log || return
  echo "Port $sshd_port" >>ssh/config
}

sshd_has_begun() {
  grep -q '^Server listening on' ssh/log || tfs_has_ended "$sshd_pid"
}

# Sessions outlive the sshd that listens.
end_sessions() {
  # shellcheck disable=SC2046 # numbers
  kill -KILL $(pgrep -P "$sshd_pid") 2>/dev/null || true
}

# sessions_of WORDS: the processes of sshd that run or have run a command that begins with these.
sessions_of() {
  awk -v words="$1" '{ pid = $1; sub(/^[0-9]+ /, "") } index($0, words) == 1 { print pid }' "$TFS_RUN/ssh/sessions"
}

# Whether a process is below sshd: its child, or, as of OpenSSH 9.8, that of its session.
is_session() {
  ssh_above=$1
  for ssh_level in 1 2; do
    ssh_above=$(ps -o ppid= -p "${ssh_above:-0}" | tr -d ' ')
    [ "$ssh_above" != "$sshd_pid" ] || return 0
  done
  return 1
}

# kill_sessions WORDS: kills those that still run. Fails if there was none.
kill_sessions() {
  ssh_killed=0
  for ssh_pid in $(sessions_of "$1"); do
    is_session "$ssh_pid" || continue
    kill -KILL "$ssh_pid"
    ssh_killed=$((ssh_killed + 1))
  done
  [ "$ssh_killed" -gt 0 ]
}
