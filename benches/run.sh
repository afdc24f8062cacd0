#!/usr/bin/env bash
# The figures of docs/performance.md, measured in one go; prints a markdown table.
#   benches/run.sh [DIRECTORY]     DIRECTORY: on the device to measure; default a new one in target/
#   KEYS=100000 SECONDS_EACH=3 benches/run.sh     shorter
# Durability is `sync`. Needs about 3 GiB in DIRECTORY; what it made there it removes.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --bin lodestore --examples >&2
target=${CARGO_TARGET_DIR:-target}
directory=${1:-$target/figures}
mkdir -p "$directory"
work=$(mktemp -d "$directory/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "commit $(git rev-parse --short HEAD), $(nproc) processors, $(uname -sr), $(df --output=fstype "$work" | tail -n 1)"
echo
"$target/release/examples/figures" "$work"
