#!/bin/bash
# systemd-analyze over the units, and the paths in them.
#
#   units.sh [TOP]

set -eu

top=$(realpath "${1:-$(dirname "$0")/../..}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$top"
failed=0
mkdir "$work/bin"
for unit in cmd/*/*.service; do
  tool=$(basename "$(dirname "$unit")")
  ln -sf /bin/true "$work/bin/$tool"
  grep -q "^ExecStart=@BINDIR@/$tool " "$unit" || { echo "units.sh: $unit does not start $tool" >&2 && failed=1; }
  sed "s,@BINDIR@,$work/bin,g" "$unit" >"$work/$(basename "$unit")"
done
if ! command -v systemd-analyze >/dev/null; then
  echo 'units.sh: warning: systemd-analyze is missing: the units were not verified' >&2
  exit "$failed"
fi
for unit in "$work"/*.service; do
  # Without its instance a template cannot be verified. The pages are not installed here.
  systemd-analyze verify --man=no "$unit" >"$work/said" 2>&1 || failed=1
  grep -v '^$' "$work/said" >&2 && failed=1
done
exit "$failed"
