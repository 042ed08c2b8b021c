#!/bin/bash
# Fails where a man page is not clean (mandoc -Tlint), where a tool has no page or the README does not name it, and where the
# options of a page and those of the tool's table (in cmd/TOOL) are not the same ones. An option without a help line,
# which --help does not show, may be missing on the page; --help and --version are every tool's.
#
#   man.sh [TOP]

set -eu

top=$(realpath "${1:-$(dirname "$0")/../..}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$top"
failed=0

complain() {
  echo "man.sh: $*" >&2
  failed=1
}

# mandoc looks for the pages that are referred to in the folder that it runs in, too: ours are all there. Those of the system
# may not be installed.
is_clean() {
  (cd man && mandoc -Tlint -- *.[157] 2>/dev/null) | grep -v 'referenced manual not found: Xr \([^t]\|t[^f]\)' >"$work/lint" || true
  [[ ! -s $work/lint ]] || complain "mandoc finds: $(cat "$work/lint")"
}

# The sections that this page has, in the order that all have.
has_order() {
  local order='NAME SYNOPSIS DESCRIPTION OPTIONS SIGNALS ENVIRONMENT FILES EXIT_STATUS EXAMPLES DIAGNOSTICS SEE_ALSO CAVEATS'
  local found
  found=$(sed -n 's/^\.Sh //p' "$1" | tr ' ' _)
  diff <(tr ' ' '\n' <<<"$order" | grep -Fx "$found") <(echo "$found") >/dev/null ||
    complain "$1 has its sections in another order than: ${order//_/ }"
}

# options_of_table FILE HIDDEN: "--name" and "-n", a line each; those whose help is "" only if HIDDEN is 1.
options_of_table() {
  hidden=$2 perl -0ne '
    while (/\{"(--[a-z-]+)",\s*(?:0|'"'(.)'"'),\s*"[^"]*",\s*"([^"]*)"/g) {
      next if $3 eq "" && !$ENV{hidden};
      print "$1\n";
      print "-$2\n" if defined $2;
    }' -- "$1"
}

# The same of the page: the items of OPTIONS that are not inside of another item.
options_of_page() {
  awk '
    /^\.Sh / { in_options = $0 == ".Sh OPTIONS"; depth = 0 }
    !in_options { next }
    /^\.Bl / { depth++ }
    /^\.El/ { depth-- }
    depth == 1 && /^\.It / {
      is_flag = 0
      for (i = 2; i <= NF; i++) {
        if ($i == "Fl") is_flag = 1
        else if ($i ~ /^[A-Z][a-z]$/) is_flag = 0
        else if (is_flag && $i != "," && $i != "|") print "-" $i
      }
    }
  ' "$1"
}

is_complete() {
  local tool=$1 page=man/$1.1 option
  [[ -f $page ]] || { complain "$tool has no page" && return; }
  has_order "$page"
  grep -q "\b$tool\b" README.md || complain "README.md does not name $tool"
  cat "cmd/$tool"/*.cc >"$work/source"
  options_of_page "$page" | sort -u >"$work/page"
  options_of_table "$work/source" 0 >"$work/shown"
  { options_of_table "$work/source" 1 && printf '%s\n' --help -h --version -V; } >"$work/all"
  [[ -s $work/all ]] || complain "$tool has no table of options"
  while read -r option; do
    grep -Fqx -e "$option" "$work/page" || complain "$page does not tell of $option"
  done < <(printf '%s\n' --help --version | cat "$work/shown" -)
  while read -r option; do
    grep -Fqx -e "$option" "$work/all" || complain "$page tells of $option, which $tool does not know"
  done <"$work/page"
}

command -v mandoc >/dev/null || { echo 'man.sh: fatal: mandoc is missing' >&2 && exit 1; }
is_clean
for folder in cmd/*; do is_complete "${folder#cmd/}"; done
exit "$failed"
