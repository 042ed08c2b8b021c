#!/bin/sh
# Installs those of the named Debian packages that are missing; where none is, nothing is asked of anyone, so that a second
# time needs neither a network nor root.
#
#   apt.sh PACKAGE...

set -eu

is_installed() {
  dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "apt.sh: warning: this is no Debian: what is needed is called there: $*" >&2
  exit 0
fi
missing=
for package in "$@"; do
  is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "apt.sh: fatal: only root can install packages. As root: apt-get install$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing$missing"
# Package lists that are there may name versions that are gone.
apt-get -qq update
# shellcheck disable=SC2086 # package names
apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends install $missing
