#!/usr/bin/env bash
# Times `fetch` against aria2c and curl on the files of FOLDER (fetch_files.py made them), served by nginx on loopback, in
# turn, and `fetch` on the lists with 30 % trouble: beside all the good URLs (mixed) and in the place of some (replaced).
# Every run starts with an empty folder in SCRATCH (FOLDER); on a disk those before are kept to the end, 4 GB each: ext4 looks
# at the inodes of what was just removed for each new file, which then costs three times as much. Needs nginx, aria2c, curl;
# IMAGERANK_BUILD_BENCHMARKS=ON builds trouble_server.
# curl_sha256 is curl and then what it leaves out beside `fetch`: the SHA-256 of every file, on two threads, and the flush.
# RATE (as nginx's limit_rate: 1m) slows each connection down, as a real network does, and leaves the peers out.
# usage: [RATE=...] [SCRATCH=...] [PEERS="decode aria2c curl curl_sha256"] benchmarks/fetch.sh FOLDER RUNS [PORT=8800]
set -euo pipefail
ulimit -n "$(ulimit -Hn)" # for all servers and clients
(($# >= 2)) || { sed -n 2,9p "$0" >&2; exit 2; }
peers=${PEERS-decode aria2c curl curl_sha256}
[[ -z ${RATE:-} ]] || peers=
folder=$(realpath "$1") runs=$2 port=${3:-8800}
root=$(realpath "$(dirname "$0")/..")
program=${PROGRAM:-$root/imagerank} trouble_server=${TROUBLE_SERVER:-$root/build/release/benchmarks/trouble_server}
scratch=$(mktemp -d "${SCRATCH:-$folder}/run.XXXXXX")
cat >"$scratch/nginx.conf" <<END
worker_processes 1;
pid $scratch/nginx.pid;
error_log $scratch/error.log;
events { worker_connections 4096; }
http { access_log off; sendfile on; keepalive_requests 100000; server { listen 127.0.0.1:$port backlog=4096; root $folder; default_type image/jpeg; ${RATE:+limit_rate $RATE;}
  location /files/page/ { try_files /page.html =404; }
  location /files/cut/ { try_files /cut.jpg =404; } } }
END
chmod -R a+rX "$folder"
nginx -c "$scratch/nginx.conf"
"$trouble_server" $((port + 1)) &
trouble=$!
trap 'nginx -c "$scratch/nginx.conf" -s stop; kill $trouble; rm -rf "$scratch"' EXIT
find "$folder/files" -type f -exec cat {} + >/dev/null # into the page cache
for list in good mixed replaced; do
  "$program" import urls "$folder/$list.txt" --data "$scratch/$list" --quiet >/dev/null
done
awk '{n = split($0, part, "/"); print $0; print "  out=" part[n]}' "$folder/good.txt" >"$scratch/aria2.txt"
awk '{n = split($0, part, "/"); print "url = \"" $0 "\""; print "output = \"" part[n] "\""}' "$folder/good.txt" >"$scratch/curl.txt"
empty() { # FOLDER
  [[ -e $1 ]] || return 0
  if [[ $(stat -f -c %T "$scratch") == tmpfs ]]; then rm -rf "$1"; else mv "$1" "$scratch/$((++kept))"; fi
}
kept=0
median() { sort -n "$1" | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'; }
timed() { # NAME COMMAND...; wall time, and CPU time of the command alone
  local name=$1 TIMEFORMAT='%R %U %S'
  shift
  sync
  { time "$@" >"$scratch/$name.log" 2>&1 || true; } 2>"$scratch/time"
  awk '{print $1}' "$scratch/time" >>"$scratch/$name.times"
  awk '{print $2 + $3}' "$scratch/time" >>"$scratch/$name.cpu"
  awk -v n="$name" '{printf "%s %.2f s, CPU %.2f s\n", n, $1, $2 + $3}' "$scratch/time"
}
fetch() { # LIST NAME OPTION...
  local list=$1 name=$2
  shift 2
  cp -r "$scratch/$list" "$scratch/world"
  timed "$name" "$program" fetch --data "$scratch/world" --allow-local --concurrency 64 --per-host 128 --json "$@"
  empty "$scratch/world" # before the next, which then gets the same memory: on a virtual machine other pages may be dear
}
download() { # NAME COMMAND...; into an empty folder
  mkdir "$scratch/peer"
  (cd "$scratch/peer" && timed "$@")
  empty "$scratch/peer"
}
trouble_options=(--connect-timeout 2 --first-byte-timeout 2 --timeout 2 --retries 1)
for ((run = 0; run < runs; ++run)); do
  fetch good imagerank
  fetch mixed mixed "${trouble_options[@]}"
  fetch replaced replaced "${trouble_options[@]}"
  for peer in $peers; do
    case $peer in
      decode) fetch good decode --verify decode ;;
      aria2c) download aria2c aria2c -q -x16 -j64 --file-allocation=none -i "$scratch/aria2.txt" ;;
      curl) download curl curl -s --parallel --parallel-max 64 -K "$scratch/curl.txt" ;;
      curl_sha256) download curl_sha256 bash -c 'curl -s --parallel --parallel-max 64 -K "$1"
          ls | xargs -P 2 -n 500 openssl dgst -sha256 -r; sync -f .' _ "$scratch/curl.txt" ;;
    esac
  done
done
files=$(wc -l <"$folder/good.txt")
ours=$(median "$scratch/imagerank.times")
for name in imagerank mixed replaced decode aria2c curl curl_sha256; do
  [[ -f $scratch/$name.times ]] || continue
  awk -v n="$name" -v t="$(median "$scratch/$name.times")" -v c="$(median "$scratch/$name.cpu")" -v o="$ours" \
    'BEGIN {printf "median %-10s %6.2f s  %.2f times imagerank  CPU %.2f s\n", n, t, t / o, c}'
done
awk -v t="$ours" -v f="$files" 'BEGIN {printf "%.0f files/s\n", f / t}'
for name in mixed replaced; do
  echo "$name: $(grep -o '"ok": *[0-9]*\|"failed": *{[^}]*}' "$scratch/$name.log" | tr '\n' ' ')"
done
