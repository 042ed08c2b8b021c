#!/bin/sh
# Fails where tfs_stream(5) and lib/format say different things: the records, their
# numbers, the type and [tag] of each field in its order, the fields of the header, the
# bits and the limits. Compared is what each of the two lists, so neither has more.
#
#   stream_tags.sh [PAGE [FORMAT_DIR]]

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd -P)
page=${1:-$top/man/tfs_stream.5}
format=${2:-$top/lib/format}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the page says, a line each:
#   record NAME NUMBER
#   field RECORD POSITION TYPE TAG      with the record HEADER for the frame's header
#   constant NAME VALUE
# A tag in the wrong place, or an item without one, becomes a line that fits nothing.
from_page() {
  awk '
    function close_item() {
      if (kind != "") print "item without a tag in " record
      kind = ""
    }
    /^\.S[sh] / {
      close_item()
      record = ""
      position = 0
      if ($0 == ".Ss Frame header") record = "HEADER"
      if ($0 ~ /^\.Ss [A-Z]+ \([0-9]+\)$/) {
        record = $2
        print "record", record, substr($3, 2, length($3) - 2)
      }
    }
    /^\.It Dv / && $4 == "No" && $5 == "=" { print "constant", $3, $6 }
    record != "" && $0 == ".It" { close_item(); is_new = 1 }
    record != "" && is_new && /^\.Vt / { kind = $2; is_new = 0 }
    record != "" && /^\.Bq Em / {
      print "field", record, ++position, kind == "" ? "(none)" : kind, $3
      kind = ""
    }
    END { close_item() }
  ' "$1"
}

# The same from the sources, which are written to be read by this: a member of Header has
# its [tag] behind it, fields() has one call for each field.
from_sources() {
  awk '
    # "kMaxXattrName" is MAX_XATTR_NAME on the page.
    function page_name(name,   out, i, c) {
      for (i = 2; i <= length(name); i++) {
        c = substr(name, i, 1)
        out = out (i > 2 && c ~ /[A-Z]/ ? "_" : "") toupper(c)
      }
      return out
    }
    # Numbers, names of constants, N << M and sums of these.
    function value_of(text,   terms, factors, n, i, sum) {
      gsub(/size_t\{|\}|\047/, "", text)
      n = split(text, terms, / \+ /)
      for (i = 1; i <= n; i++) {
        if (split(terms[i], factors, / << /) == 2) sum += factors[1] * 2 ^ factors[2]
        else sum += terms[i] in values ? values[terms[i]] : terms[i]
      }
      return sum
    }
    /^constexpr (size_t|uint16_t|uint32_t|std::string_view) k[A-Z]/ {
      name = $3
      text = $0
      sub(/^[^=]*= /, "", text)
      sub(/;.*/, "", text)
      values[name] = text ~ /^"/ ? substr(text, 2, length(text) - 2) : value_of(text)
      printf(text ~ /^"/ ? "constant %s %s\n" : "constant %s %d\n", page_name(name), values[name])
    }

    FILENAME ~ /record_type\.h$/ && /^  k[A-Za-z]+ = [0-9]+,/ { number[$1] = $3 + 0 }
    FILENAME ~ /records\.cc$/ && /case RecordType::/ {
      name = $2
      gsub(/RecordType::|:$/, "", name)
      gsub(/[";]/, "", $4)
      shown[name] = $4
      print "record", $4, number[name]
    }

    FILENAME ~ /frame\.h$/ && /^struct Header/ { in_header = 1; position = 0 }
    in_header && /^}/ { in_header = 0 }
    in_header && /\/\/ \[[a-z-]+\]/ {
      kind = $1 == "RecordType" ? "u16" : $1
      sub(/uint/, "u", kind)
      sub(/_t$/, "", kind)
      tag = $0
      sub(/^.*\/\/ \[/, "", tag)
      sub(/\].*/, "", tag)
      member = $2
      sub(/[;{].*/, "", member)
      if (member != tag) tag = tag " at the member " member
      print "field HEADER", ++position, kind, tag
    }

    /kType = RecordType::k/ {
      record = $0
      sub(/.*RecordType::/, "", record)
      sub(/;.*/, "", record)
      record = record in shown ? shown[record] : record
      position = 0
    }
    FILENAME ~ /records\.h$/ && /^    v\.[a-z0-9_]+\("/ {
      split($0, part, /[.("),; ]+/)
      kind = part[3]
      gsub(/_/, "-", kind)
      tag = part[4]
      member = part[6]
      gsub(/_/, "-", member)
      # In Hash "hash-low" is the member low.
      if (member != tag && tolower(record) "-" member != tag) tag = tag " at the member " part[6]
      print "field", record, ++position, kind, tag
    }
  ' "$1/limits.h" "$1/record_type.h" "$1/frame.h" "$1/records.cc" "$1/records.h"
}

from_page "$page" >"$work/page"
from_sources "$format" >"$work/sources"
sort "$work/page" >"$work/page.sorted"
sort "$work/sources" >"$work/sources.sorted"

# Both lists empty would agree, too.
lines=$(wc -l <"$work/sources")
if [ "$lines" -lt 150 ]; then
  echo "stream_tags.sh: only $lines facts found in $format" >&2
  exit 1
fi
if ! diff "$work/page.sorted" "$work/sources.sorted" >"$work/diff"; then
  echo "stream_tags.sh: $page (<) and $format (>) differ:" >&2
  grep '^[<>]' "$work/diff" >&2
  exit 1
fi
