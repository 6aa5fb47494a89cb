#!/usr/bin/env bash
# One epoch of the MLP on vectors that do not fit into memory, beside the same with all of them in the page cache, in turn:
# ROWS x 2,048 float16 in FOLDER, made once; memory, page cache included, held to LIMIT_MB by a control group, which takes
# root. usage: [BENCHMARKS=build/release/benchmarks] benchmarks/train_memory.sh FOLDER ROWS LIMIT_MB RUNS
set -euo pipefail
(($# == 4)) || { sed -n 2,4p "$0" >&2; exit 2; }
folder=$1 rows=$2 limit=$3 runs=$4
train=${BENCHMARKS:-$(dirname "$0")/../build/release/benchmarks}/train_heads
mkdir -p "$folder"
if [[ -d /sys/fs/cgroup/memory ]]; then
  group=/sys/fs/cgroup/memory/imagerank_train limit_file=memory.limit_in_bytes
else
  group=/sys/fs/cgroup/imagerank_train limit_file=memory.max
fi
mkdir -p "$group"
trap 'rmdir "$group"' EXIT
echo $((limit << 20)) >"$group/$limit_file"
epoch() { "$train" "$rows" 2048 1 1 "$folder" mlp | tail -n 1; }
epoch >/dev/null # makes the files
drop() { # out of the page cache, which pages count for the group that read them first
  sync
  for file in "$folder"/*.f16; do dd of="$file" oflag=nocache conv=notrunc,fdatasync count=0 status=none; done
}
for ((run = 0; run < runs; ++run)); do
  cat "$folder"/*.f16 >/dev/null
  echo "in memory: $(epoch)"
  drop
  echo "in $limit MB: $(echo "$BASHPID" >"$group/cgroup.procs"; epoch)"
done
