#!/usr/bin/env bash
# 200 people choosing at once: latency without trouble, then 20 kills (kill -9) of the server, after which the votes that were
# acknowledged must be those that are stored; on SQLite, and on PostgreSQL where its programs are installed.
#   benchmarks/votes.sh [BUILD]     BUILD: build/release, with IMAGERANK_BUILD_BENCHMARKS=ON
# VOTERS=200 VOTES=20 KILLS=20 THINK_MS=500 DATABASES="sqlite postgresql" are the defaults; needs curl, sqlite3, and initdb
# for PostgreSQL.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$PWD/${1:-build/release}
imagerank=$build/src/cli/imagerank
drive=$build/benchmarks/votes
voters=${VOTERS:-200} votes=${VOTES:-20} kills=${KILLS:-20} think=${THINK_MS:-500}
databases=${DATABASES:-sqlite postgresql}
port=${PORT:-18733}
work=$(mktemp -d)
chmod 755 "$work"
server=
postgres=
cleanup() {
  [[ -z $server ]] || kill -9 "$server" 2>/dev/null || true
  [[ -z $postgres ]] || as_user "$postgres/pg_ctl" -D "$work/pg/data" -m immediate stop >/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
as_user() { if [[ $(id -u) == 0 ]]; then (cd "$work" && runuser -u nobody -- "$@"); else "$@"; fi; }

start() {
  "$imagerank" serve --data "$work/world" --db "$1" --port "$port" --threads 1 --quiet >>"$work/serve.log" 2>&1 &
  server=$!
}
answering() { until curl -sf "http://127.0.0.1:$port/v2/health/live" >/dev/null; do sleep 0.1; done; }
stop() { kill -"$1" "$server" && { wait "$server" 2>/dev/null || true; }; }

# Database URL, command that prints the sets of its votes.
measure() {
  local url=$1 query=$2
  start "$url"
  answering
  echo "quiet    $("$drive" "$port" "$voters" "$votes" "$think" 2>"$work/quiet")"
  echo "hurried  $("$drive" "$port" "$voters" "$votes" 0 2>"$work/hurried")"
  "$drive" "$port" "$voters" $((votes * 4)) "$think" >"$work/result" 2>"$work/killed" &
  local driving=$!
  for ((i = 1; i <= kills; ++i)); do
    answering
    sleep "0.$((RANDOM % 9 + 1))"
    kill -0 "$driving" 2>/dev/null || { echo "the voters were done before kill $i"; break; }
    stop 9
    start "$url"
  done
  wait "$driving"
  echo "killed   $(cat "$work/result"), $((i - 1)) kills"
  stop TERM
  server=
  eval "$query" | sort >"$work/stored"
  sort "$work/quiet" "$work/hurried" "$work/killed" >"$work/acknowledged"
  cmp "$work/stored" "$work/acknowledged" && echo "acknowledged = stored = $(wc -l <"$work/stored") votes"
}

"$imagerank" simulate --data "$work/world" --rankings 400 --image-size 32 --quiet
if [[ $databases == *sqlite* ]]; then
  echo "SQLite"
  measure "sqlite://$work/votes.db" "sqlite3 '$work/votes.db' 'SELECT set_id FROM votes'"
fi
[[ $databases == *postgresql* ]] || exit 0

postgres=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1 || true)
if [[ -z $postgres ]]; then echo "PostgreSQL: not installed"; exit; fi
mkdir "$work/pg"
[[ $(id -u) != 0 ]] || chown nobody "$work/pg"
as_user "$postgres/initdb" -D "$work/pg/data" -A trust -U voter -E UTF8 --locale=C >/dev/null
as_user "$postgres/pg_ctl" -D "$work/pg/data" -w -l "$work/pg/log" \
  -o "-p $((port + 1)) -k $work/pg -c listen_addresses=127.0.0.1" start >/dev/null
as_user "$postgres/createdb" -h 127.0.0.1 -p $((port + 1)) -U voter votes
echo "PostgreSQL $("$postgres/postgres" --version | cut -d' ' -f3)"
measure "postgresql://voter@127.0.0.1:$((port + 1))/votes" \
  "'$postgres/psql' -h 127.0.0.1 -p $((port + 1)) -U voter -At -c 'SELECT set_id FROM votes' votes"
