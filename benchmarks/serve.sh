#!/usr/bin/env bash
# The server under load beside `embed` and a Node server of ONNX Runtime and sharp, in turn, and the medians' ratios:
# ViT-B/32 with random weights, bf16, distinct 512 px JPEG files, 64 keep-alive clients on the same machine, no cache of
# vectors. SCRATCH is encode.sh's, which makes the model, the peer's vision.onnx and the images. Needs node, python3 and
# BENCHMARKS/serve_load.
# usage: [BENCHMARKS=build/release/benchmarks] benchmarks/serve.sh SCRATCH SECONDS ROUNDS
set -euo pipefail
(($# == 3)) || { sed -n 2,7p "$0" >&2; exit 2; }
scratch=$(realpath "$1") seconds=$2 rounds=$3
here=$(realpath "$(dirname "$0")")
program=$(realpath "$here/../imagerank") load=${BENCHMARKS:-$here/../build/release/benchmarks}/serve_load
world=$scratch/serve_world reward=$scratch/serve_world/rewards/load
if [[ ! -f $reward/reward.json ]]; then
  "$program" simulate --data "$world" --rankings 60 --quiet
  "$program" label --data "$world" --quiet
  "$program" encode --data "$world" --model "$scratch/model" --precision bf16 --allow-untrained --quiet >"$scratch/serve.log"
  "$program" train --data "$world" --model "$scratch/model" --precision bf16 --head mlp --loss bt --epochs 1 --name load --quiet
fi
cp "$here/serve_peer.mjs" "$scratch/"
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# Waits for a line of the server's output that matches, in a file.
wait_for() { for _ in $(seq 300); do grep -q "$2" "$1" && return; sleep 0.2; done; cat "$1" >&2; exit 1; }
served() {  # CLIENTS' extra arguments of serve_load
  "$program" serve --reward "$reward" --port 18080 --cache 0 --json --quiet >"$scratch/serve.out" 2>"$scratch/serve.err" &
  wait_for "$scratch/serve.out" address
  "$load" 18080 /v1/score form "$scratch/jpeg" 64 "$seconds" "$@" |
    sed "s/}/, \"peak_mb\": $(($(grep VmHWM "/proc/$!/status" | tr -dc 0-9) / 1024))}/"
  kill %% && wait %% || true
}
peer() {
  node "$scratch/serve_peer.mjs" "$scratch/vision.onnx" 18081 >"$scratch/peer.out" 2>&1 &
  wait_for "$scratch/peer.out" ready
  "$load" 18081 / raw "$scratch/jpeg" 64 "$seconds"
  kill %% && wait %% 2>/dev/null || true
}
embedded() {  # images/s between two numbers of files, so that start-up does not count; for as long as a server is loaded
  local files=("$scratch"/jpeg/*) times=()
  for turns in 1 3; do
    for _ in $(seq "$turns"); do printf '%s\n' "${files[@]}"; done >"$scratch/serve_files.txt"
    local start=$EPOCHREALTIME
    "$program" embed --model "$scratch/model" --images "@$scratch/serve_files.txt" --out "$scratch/serve.npy" --precision bf16 \
      --allow-untrained --quiet >"$scratch/serve.log"
    times+=("$(python3 -c "print($EPOCHREALTIME - $start)")")
  done
  python3 -c "print('{\"images_per_s\": %.1f}' % (2 * ${#files[@]} / (${times[1]} - ${times[0]})))"
}
rm -f "$scratch"/serve_*.jsonl
for _ in $(seq "$rounds"); do
  embedded >>"$scratch/serve_embed.jsonl"
  served >>"$scratch/serve_plain.jsonl"
  served 2000 50 >>"$scratch/serve_burdened.jsonl"
  peer >>"$scratch/serve_peer.jsonl"
done
exec python3 - "$scratch" <<'PYTHON'
import json, statistics, sys
def median(name, field):
    with open(f"{sys.argv[1]}/serve_{name}.jsonl") as lines:
        return statistics.median(json.loads(line)[field] for line in lines)
for name in ("embed", "plain", "burdened", "peer"):
    fields = ["images_per_s"] + (["p50_ms", "p99_ms", "failed"] if name != "embed" else [])
    print(name, *(f"{field} {median(name, field):.1f}" for field in fields))
rate = median("plain", "images_per_s")
print(f"of embed {rate / median('embed', 'images_per_s'):.2f}, of the peer {rate / median('peer', 'images_per_s'):.1f}, "
      f"p99 over median {median('plain', 'p99_ms') / median('plain', 'p50_ms'):.2f}, beside 2,000 idle and 50 slow connections "
      f"{median('burdened', 'images_per_s') / rate:.3f}, peak {median('plain', 'peak_mb'):.0f} and {median('burdened', 'peak_mb'):.0f} MB")
PYTHON
