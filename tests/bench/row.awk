# One row of bench.sh's table, from lines "KEY WHO ROUND VALUE". See row() in common.sh.

$1 == key && ($2 != peer || peer_key == key) || $1 == peer_key && $2 == peer {
  value[$2, $3] = $4
  all[$2, ++count[$2]] = $4
  if ($3 > rounds) rounds = $3
}

function median_of(list, n,    i, j, t) {
  for (i = 2; i <= n; i++) {
    t = list[i]
    for (j = i - 1; j > 0 && list[j] > t; j--) list[j + 1] = list[j]
    list[j + 1] = t
  }
  return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function median(who,    list, i) {
  for (i = 1; i <= count[who]; i++) list[i] = all[who, i]
  return median_of(list, count[who])
}

# More of a rate is better, less of a time.
function ratio(a, b) {
  return unit == "ops" || kind == "of" ? a / b : b / a
}

function shown(v) {
  if (unit == "ops") return v >= 1e6 ? sprintf("%.2fM/s", v / 1e6) : v >= 1e4 ? sprintf("%.1fk/s", v / 1e3) : sprintf("%.0f/s", v)
  if (unit == "us") return v >= 1e4 ? sprintf("%.1f ms", v / 1e3) : sprintf(v < 10 ? "%.2f us" : "%.0f us", v)
  return v < 1 ? sprintf("%.0f ms", v * 1e3) : sprintf("%.2f s", v)
}

function verdict(    met) {
  if (goal == "-") return "-"
  met = kind == "of" ? middle <= goal : middle >= goal
  return sprintf("%s %s %s%s", kind == "of" ? "<=" : ">=", goal, met ? "met" : "missed", least < goal && goal < most ? "?" : "")
}

# Ratios are taken within a round.
function compare(    i) {
  for (i = 1; i <= rounds; i++) {
    if (value["tfs", i] > 0 && value[peer, i] > 0) list[++pairs] = ratio(value["tfs", i], value[peer, i])
  }
  if (pairs == 0) return
  middle = median_of(list, pairs)
  least = list[1]
  most = list[pairs]
}

END {
  if (count["tfs"] == 0) exit
  ours = median("tfs")
  compare()
  if (peer != "native" && count["native"] > 0) {
    native = median("native")
    of_native = sprintf("%.2f", unit == "ops" ? ours / native : native / ours)
  }
  printf "%-34s %-6s %9s  %-21s %8s  %-13s %-15s %9s %7s %3d\n", label, place, shown(ours),
    count[peer] ? shown(median(peer)) " " peer : "-",
    pairs ? sprintf("%.2f%s", middle, kind == "of" ? " " : "x") : "", pairs ? sprintf("%.2f-%.2f", least, most) : "",
    pairs ? verdict() : "-", native ? shown(native) : "", of_native, count["tfs"]
}
