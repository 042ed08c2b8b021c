#!/bin/bash
# Fails where an op tag ("module.what.call", the first argument of what makes an error) stands in two places, or is none.
# Twice within a few lines of one file is one place: a call, and the error made of its failure.
#
#   op_tags.sh [TOP]

set -eu

top=$(realpath "${1:-$(dirname "$0")/../..}")
cd "$top"
mapfile -t files < <(find lib cmd -name '*.cc' -o -name '*.h' | sort)

perl -e '
  my $near = 12;
  my (%at, $failed, $count);
  sub complain { print STDERR "op_tags.sh: @_\n"; $failed = 1 }
  for my $file (@ARGV) {
    open my $in, "<", $file or die "$file: $!";
    while (<$in>) {
      s,(^|\s)//.*,,;
      while (/\b(?:system_error|at_object|open_at|read_some|write_all|writev_all|pwrite_all|read_file|connect_unix)\(\s*"([^"]*)"/g) {
        complain("$file:$.: \"$1\" is no tag of three words") unless $1 =~ /^[a-z_]+(\.[a-z0-9_]+){2,}$/;
      }
      while (/"([a-z_]+(?:\.[a-z0-9_]+){2,})"/g) {
        $count++;
        my $before = $at{$1};
        if ($before && ($before->[0] ne $file || $. - $before->[1] > $near)) {
          complain("$file:$.: \"$1\" stands at $before->[0]:$before->[1], too");
        }
        $at{$1} = [$file, $.];
      }
    }
  }
  complain("only " . ($count // 0) . " tags found") if ($count // 0) < 100;
  exit($failed // 0);
' "${files[@]}"
