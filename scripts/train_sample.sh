#!/usr/bin/env bash
# Makes the built-in encoder again: simulated scenes, captions and all, then both towers.
# usage: scripts/train_sample.sh [OUT=build/sample]   (about 1 GB of disk, 3 GB of memory; time: assets/sample/README.md)
# Copy model.safetensors, the three .json of the model and pretrain.json from OUT/model to assets/sample to ship them.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/sample}
imagerank=./imagerank
[[ -x $imagerank ]] || { echo "train_sample: expected ./imagerank; run make build first" >&2; exit 1; }

# Combinations of shape and colour that the held-out scenes show are in no training scene.
"$imagerank" simulate --data "$out/scenes" --captions 40000 --seed 1 --hold-out exclude
"$imagerank" simulate --data "$out/held-out" --captions 1280 --seed 2 --hold-out only
"$imagerank" --threads 2 pretrain --data "$out/scenes" --eval-data "$out/held-out" --out "$out/model" --seed 1 \
  --steps 2327 --batch 256 --lr 1.5e-3 --width 128 --layers 4 --text-width 128 --text-layers 3 --dim 128 --vocab 1500 --bf16
