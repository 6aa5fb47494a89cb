#!/usr/bin/env bash
# Times CLIP ViT-B/32 with random weights, ours and the peers in turn, and prints the ratios of the medians. Images are
# distinct files; a rate of ours is the slope between two numbers of rows, so that start-up does not count.
# PEERS: folder of the peers' scripts (clip_torch.py, encode_ort.mjs, tokenize_transformersjs.mjs). NODE_MODULES: has
# sharp, onnxruntime-node and @huggingface/transformers. TOKENIZER: folder of CLIP's tokenizer. PROMPTS: .jsonl with
# {"text"} a line. SCRATCH is kept: models and images are made once. Needs python3 with torch, numpy, onnx and Pillow, node,
# and, for oneDNN, the program onednn_products in BENCHMARKS.
# LARGE=1: ViT-L/14 and ViT-H/14 too, 5.6 GB of random weights; their rows are named l14 and h14.
# usage: [LARGE=1] [BENCHMARKS=build/release/benchmarks] benchmarks/encode.sh PEERS NODE_MODULES TOKENIZER PROMPTS SCRATCH ROUNDS [ROW...]
set -euo pipefail
(($# >= 6)) || { sed -n 2,9p "$0" >&2; exit 2; }
peers=$(realpath "$1") modules=$(realpath "$2") tokenizer=$(realpath "$3") prompts=$(realpath "$4") scratch=$5 rounds=$6
shift 6
here=$(realpath "$(dirname "$0")")
python=${PYTHON:-/usr/bin/python3}
mkdir -p "$scratch"
scratch=$(realpath "$scratch")
# Node looks for packages beside the script.
cp "$peers"/*.mjs "$scratch/"
ln -sfn "$modules" "$scratch/node_modules"
[[ -f $scratch/model/model.safetensors ]] || "$python" "$peers/clip_torch.py" random "$scratch/model" b32
for name in ${LARGE:+l14 h14}; do
  [[ -f $scratch/model_$name/model.safetensors ]] || "$python" "$peers/clip_torch.py" random "$scratch/model_$name" "$name"
  cp "$tokenizer"/{tokenizer,tokenizer_config}.json "$scratch/model_$name/"
done
cp "$tokenizer"/{tokenizer,tokenizer_config}.json "$scratch/model/"
[[ -f $scratch/vision.onnx ]] || "$python" "$peers/clip_torch.py" onnx "$scratch/model" "$scratch/vision.onnx" 2>"$scratch/onnx.log"
"$python" "$here/make_images.py" "$scratch/jpeg" 512 jpeg 512
"$python" "$here/make_images.py" "$scratch/png" 192 png 1024
exec "$python" "$here/encode_rounds.py" "$here/../imagerank" "${BENCHMARKS:-$here/../build/release/benchmarks}" "$peers" \
  "$scratch" "$prompts" "$rounds" "$@"
