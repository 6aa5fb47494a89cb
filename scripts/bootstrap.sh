#!/usr/bin/env bash
# Installs what imagerank builds with on Debian 12: packages from apt; DuckDB's library and header, and what the pages of
# reports are built from, from npm.
# Idempotent and silent when nothing is missing. Asks for nothing; uses sudo only when not root.
set -euo pipefail
cd "$(dirname "$0")/.."

# The release whose C API this code is tested with.
duckdb_library_version=1.4.4-r.1
duckdb_header_version=1.4.4

packages=(
  g++ cmake ninja-build make git pkg-config ccache ca-certificates
  libtorch-dev libopenblas0-pthread        # towers, heads; the reference BLAS is forty times slower
  libicu-dev                               # tokenizer: NFC, lower case, Unicode classes
  zlib1g-dev                               # CLIP's published vocabulary is gzipped
  libcurl4-openssl-dev libssl-dev openssl  # fetch; SHA-256; certificates for tests
  libjpeg62-turbo-dev libdeflate-dev libwebp-dev libgif-dev
  libcairo2-dev                            # the simulated world
  libeigen3-dev                            # baselines in closed form
  libcli11-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libtomlplusplus-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  libspng-dev                              # the peer of benchmarks/pixels
)
# Only the presets `tidy` and `fuzz` and `make format|lint` need these.
if [[ "${IMAGERANK_BOOTSTRAP_LINT:-0}" == 1 ]]; then packages+=(clang-format-19 clang-tidy-19); fi
# Only the `fuzz` preset needs these.
if [[ "${IMAGERANK_BOOTSTRAP_FUZZ:-0}" == 1 ]]; then packages+=(clang-19 libclang-rt-19-dev); fi

as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi; }

missing=()
for package in "${packages[@]}"; do
  # dpkg-query prints "ii " for installed packages only.
  [[ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" == ii* ]] || missing+=("$package")
done
# A machine may have Node from elsewhere, with which Debian's npm conflicts.
command -v npm >/dev/null || missing+=(npm)

if ((${#missing[@]})); then
  echo "bootstrap: installing ${#missing[@]} packages: ${missing[*]}" >&2
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# DuckDB is not in Debian. A system-wide one (pkg-config or /usr) is preferred by cmake/FindDuckDB.cmake.
case "$(uname -m)" in
  x86_64) duckdb_arch=x64 ;;
  aarch64) duckdb_arch=arm64 ;;
  *) echo "bootstrap: no DuckDB build for $(uname -m); expected x86_64 or aarch64" >&2; exit 1 ;;
esac
duckdb_dir=.deps/duckdb-$duckdb_header_version
if [[ ! -e $duckdb_dir/complete ]]; then
  echo "bootstrap: installing DuckDB $duckdb_header_version into $duckdb_dir" >&2
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  npm pack --silent --ignore-scripts --pack-destination "$scratch" \
    "@duckdb/node-bindings-linux-$duckdb_arch@$duckdb_library_version" "duckdb@$duckdb_header_version" >/dev/null
  for archive in "$scratch"/*.tgz; do
    name=$(basename "$archive" .tgz)
    mkdir "$scratch/$name"
    tar -xzf "$archive" -C "$scratch/$name"
  done
  rm -rf "$duckdb_dir"
  mkdir -p "$duckdb_dir/lib" "$duckdb_dir/include"
  find "$scratch" -name libduckdb.so -exec cp {} "$duckdb_dir/lib/" \;
  find "$scratch" -path '*/src/include/duckdb.h' -exec cp {} "$duckdb_dir/include/" \;
  test -s "$duckdb_dir/lib/libduckdb.so" && test -s "$duckdb_dir/include/duckdb.h" || {
    echo "bootstrap: the npm packages hold no libduckdb.so or duckdb.h" >&2
    exit 1
  }
  touch "$duckdb_dir/complete"
fi

# What web/ bundles into reports: Observable Plot, and Vite to bundle it. A copy of the lock file says what is installed.
if ! cmp -s web/package-lock.json web/node_modules/.installed-lock; then
  echo "bootstrap: installing the packages of web/" >&2
  npm ci --prefix web --silent --ignore-scripts --no-audit --no-fund >/dev/null
  cp web/package-lock.json web/node_modules/.installed-lock
fi
