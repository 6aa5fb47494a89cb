#!/usr/bin/env bash
# Installs what imagerank builds with on Debian 12: packages from apt; from npm DuckDB's library and header, what the pages
# of reports and of the server are built from, and the ONNX Runtime that tests run exported graphs in.
# Idempotent and silent when nothing is missing. Asks for nothing; uses sudo only when not root.
set -euo pipefail
cd "$(dirname "$0")/.."

# The release whose C API this code is tested with.
duckdb_library_version=1.4.4-r.1
duckdb_header_version=1.4.4
# Runs on Debian's Node 18.
onnxruntime_version=1.17.3

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
  libboost-dev prometheus-cpp-dev          # serve: Beast and Asio, metrics
  libsoci-dev libsqlite3-dev libpq-dev     # votes
  libgtest-dev libgmock-dev libbenchmark-dev
  libspng-dev                              # the peer of benchmarks/pixels
)
# Only the presets `tidy` and `fuzz` and `make format|lint` need these.
if [[ "${IMAGERANK_BOOTSTRAP_LINT:-0}" == 1 ]]; then packages+=(clang-format-19 clang-tidy-19); fi
# Only tests need these, and skip without them: a database server to start, a browser, and what the references of published
# scorers and the client in Python are written in. `make test` asks for them.
if [[ "${IMAGERANK_BOOTSTRAP_TESTS:-0}" == 1 ]]; then
  packages+=(postgresql chromium python3-numpy python3-pil python3-torch python3-torchvision)
fi
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

case "$(uname -m)" in
  x86_64) arch=x64 ;;
  aarch64) arch=arm64 ;;
  *) echo "bootstrap: no DuckDB build for $(uname -m); expected x86_64 or aarch64" >&2; exit 1 ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Unpacks npm packages, none of whose scripts run, into folders of $scratch named by package and version.
unpack() {
  npm pack --silent --ignore-scripts --pack-destination "$scratch" "$@" >/dev/null
  for archive in "$scratch"/*.tgz; do
    name=$(basename "$archive" .tgz)
    mkdir "$scratch/$name"
    tar -xzf "$archive" -C "$scratch/$name"
    rm "$archive"
  done
}

# DuckDB is not in Debian. A system-wide one (pkg-config or /usr) is preferred by cmake/FindDuckDB.cmake.
duckdb_dir=.deps/duckdb-$duckdb_header_version
if [[ ! -e $duckdb_dir/complete ]]; then
  echo "bootstrap: installing DuckDB $duckdb_header_version into $duckdb_dir" >&2
  unpack "@duckdb/node-bindings-linux-$arch@$duckdb_library_version" "duckdb@$duckdb_header_version"
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

# Of ONNX Runtime only what Node needs on this machine: the package brings every other system's library too.
onnxruntime_dir=.deps/onnxruntime-$onnxruntime_version
if [[ ! -e $onnxruntime_dir/complete ]]; then
  echo "bootstrap: installing ONNX Runtime $onnxruntime_version into $onnxruntime_dir, for tests" >&2
  unpack "onnxruntime-node@$onnxruntime_version" "onnxruntime-common@$onnxruntime_version"
  rm -rf "$onnxruntime_dir"
  mkdir -p "$onnxruntime_dir/node_modules"
  for package in node common; do
    mv "$scratch/onnxruntime-$package-$onnxruntime_version/package" "$onnxruntime_dir/node_modules/onnxruntime-$package"
  done
  find "$onnxruntime_dir" -path '*/bin/napi-v3/*' -type f ! -path "*/linux/$arch/*" -delete
  test -s "$onnxruntime_dir/node_modules/onnxruntime-node/bin/napi-v3/linux/$arch/onnxruntime_binding.node" || {
    echo "bootstrap: the npm packages hold no ONNX Runtime for linux $arch" >&2
    exit 1
  }
  touch "$onnxruntime_dir/complete"
fi

# What web/ bundles: Observable Plot for reports, Preact for the server's pages, Vite; what tests drive a browser with. A copy of the lock file says what is installed.
if ! cmp -s web/package-lock.json web/node_modules/.installed-lock; then
  echo "bootstrap: installing the packages of web/" >&2
  npm ci --prefix web --silent --ignore-scripts --no-audit --no-fund >/dev/null
  cp web/package-lock.json web/node_modules/.installed-lock
fi
