#!/usr/bin/env bash
# Times `import` + `label` (points, pairs, CSV), whole processes, and a peer that is given RANKINGS.csv and an output file,
# in turn. Prints each run and the ratio of the medians.
# usage: benchmarks/label.sh RANKINGS.csv RUNS PEER_COMMAND...
set -euo pipefail
(($# >= 3)) || { sed -n 2,4p "$0" >&2; exit 2; }
rankings=$1 runs=$2
shift 2
program=$(dirname "$0")/../imagerank
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
median() { sort -n "$1" | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'; }
for ((run = 0; run < runs; ++run)); do
  rm -rf "$scratch/world"
  start=$EPOCHREALTIME
  "$program" import pickapic-v0 "$rankings" --data "$scratch/world" --quiet >/dev/null
  middle=$EPOCHREALTIME
  "$program" label --data "$scratch/world" --split random --seed 1 --csv "$scratch/points.csv" --quiet >/dev/null
  end=$EPOCHREALTIME
  "$@" "$rankings" "$scratch/peer.csv" >/dev/null
  peer=$EPOCHREALTIME
  awk -v s="$start" -v m="$middle" -v e="$end" -v p="$peer" \
    'BEGIN {printf "import %.2f s, label %.2f s, together %.2f s; peer %.2f s\n", m - s, e - m, e - s, p - e}'
  awk -v s="$start" -v e="$end" 'BEGIN {print e - s}' >>"$scratch/ours"
  awk -v e="$end" -v p="$peer" 'BEGIN {print p - e}' >>"$scratch/peers"
done
awk -v o="$(median "$scratch/ours")" -v p="$(median "$scratch/peers")" \
  'BEGIN {printf "medians: %.2f s and %.2f s, %.2f times as fast as the peer\n", o, p, p / o}'
