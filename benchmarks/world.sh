#!/usr/bin/env bash
# Rewards on a made-up world split by prompt, beside its oracle: heads and losses chosen on validation, Bradley-Terry against
# the three-class recipe, what the prompt classification adds, fine-tuned towers against frozen vectors. SCRATCH is kept: what
# is done is not done again. usage: benchmarks/world.sh SCRATCH RANKINGS SEED [FINETUNE_STEPS]
set -euo pipefail
(($# >= 3)) || { sed -n 2,4p "$0" >&2; exit 2; }
world=$1/world-$2-$3 rankings=$2 seed=$3 steps=${4:-0}
program=$(realpath "$(dirname "$0")/../imagerank")
mkdir -p "$1"
[[ -d $world ]] || "$program" simulate --data "$world" --rankings "$rankings" --seed "$seed" --quiet
"$program" label --data "$world" --split prompt --seed 1 --quiet
[[ -f $world/perturbed.parquet ]] || "$program" perturb --data "$world" --mode attribute --per-prompt 4 --seed 1 --quiet
"$program" encode --data "$world" --model builtin/sample --quiet

rewards=()
train() {  # NAME MODEL arguments of train
  local name=$1 model=$2
  shift 2
  "$program" train --data "$world" --model "$model" --name "$name" --quiet "$@" &&
    rewards+=("$name")
}
for head in mlp interaction; do
  train "$head-ce" builtin/sample --head "$head" --loss ce  # the three-class recipe
  train "$head-bt" builtin/sample --head "$head" --loss bt
done
for loss in bt davidson rao-kupper; do train "clip-$loss" builtin/sample --head clip --loss "$loss"; done
for weight in 0.1 0.5; do
  train "clip-bt-prompt-$weight" builtin/sample --head clip --loss bt --prompt-loss "$weight" --wrong-prompts 4
  train "interaction-bt-prompt-$weight" builtin/sample --head interaction --loss bt --prompt-loss "$weight" --wrong-prompts 4
done
if ((steps > 0)); then
  "$program" finetune --data "$world" --model builtin/sample --out "$world/tuned" --steps "$steps" --batch 64 --lr 1e-5 \
    --warm-up-steps $((steps / 10)) --validation-steps $((steps / 10)) --quiet
  "$program" encode --data "$world" --model "$world/tuned" --quiet
  train tuned-bt "$world/tuned" --head clip --loss bt
fi
"$program" compare --data "$world" "${rewards[@]}" --json --quiet >"$world/compare.json"
for name in "${rewards[@]}"; do
  "$program" eval --data "$world" --reward "$name" --probes 300 --bootstrap 300 --json --quiet >"$world/eval-$name.json"
done
exec python3 - "$world" "${rewards[@]}" <<'PYTHON'
import json, sys
world, names = sys.argv[1], sys.argv[2:]
with open(f"{world}/compare.json") as file:
    table = json.load(file)
print(f"{'reward':28} {'valid.':>6} {'test':>6}   95 % interval   way   ece   attribute changed: share rising")
for row in table["rewards"]:
    with open(f"{world}/eval-{row['name']}.json") as file:
        one = json.load(file)
    strict = one["metrics"]["pair_accuracy_strict_micro"]
    ece = one["metrics"]["ece"]["value"]
    probe = next((p for p in one["probes"]["results"] if "attribute" in p["name"]), None)
    print(f"{row['name']:28} {100 * row['validation']['pair_accuracy_strict_micro']['value']:6.2f} {100 * strict['value']:6.2f}   {100 * strict['low']:.2f} to {100 * strict['high']:.2f}"
          f"  {one['way_to_oracle']:.3f} {'  -  ' if ece is None else f'{100 * ece:.2f}'}  {probe and round(probe['share_rising']['value'], 3)}")
print("chosen on validation:", table["chosen"])
wanted = {("interaction-ce", "interaction-bt"), ("mlp-ce", "mlp-bt"), ("clip-bt", "clip-bt-prompt-0.1"), ("clip-bt", "clip-bt-prompt-0.5"),
          ("clip-bt", "tuned-bt"), ("interaction-bt", "interaction-bt-prompt-0.1"), ("interaction-bt", "interaction-bt-prompt-0.5")}
for pair in table["differences"]:
    if (pair["first"], pair["second"]) in wanted or (pair["second"], pair["first"]) in wanted:
        print(f"{pair['first']} - {pair['second']}: {100 * pair['value']:.2f} points ({100 * pair['low']:.2f} to {100 * pair['high']:.2f}), p {pair['p']:.3g}")
PYTHON
