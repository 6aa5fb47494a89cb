#!/usr/bin/env bash
# What `make quickstart` shows: the pipeline on a made-up world, then a ranked list of images.
set -euo pipefail
cd "$(dirname "$0")/.."
start=$SECONDS
./imagerank run examples/quickstart.toml
prompt="two red stars at night"
echo "== rank: the first images of the world for \"$prompt\", best first"
mapfile -t pictures < <(find quickstart/images -type f | sort | head -200)
./imagerank rank --reward quickstart/rewards/clip --prompt "$prompt" --top 5 "${pictures[@]}"
echo
echo "done in $((SECONDS - start)) s. Open quickstart/reports/compare/report.html in a browser."
echo "Next: your own data, six commands, in README.md."
