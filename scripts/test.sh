#!/usr/bin/env bash
# Sets up and runs every check, exactly as CI does. No GPU and no network beyond the package registries.
# Everything is built under one profile and one selection of packages, so the dependency tree is compiled once.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
# With build outputs outside the clone, one path for all clones: another clone does not rebuild the libtorch bindings.
if [ -n "${CARGO_TARGET_DIR:-}" ]; then
    LIBTORCH=$(readlink -f "${LIBTORCH:-.libtorch}")
    export LIBTORCH
fi

step() { printf '\n== %s\n' "$*" >&2; "$@"; }

step cargo fmt --all --check
step cargo clippy --release --workspace --all-targets -- -D warnings
# The build without libtorch, which the packages and scripts/train.sh use.
step cargo clippy --release --no-default-features --lib --bins -- -D warnings
# Among the tests: the first day with a vendor's key, against a vendor on a local port (tests/vendor/commands.rs): fetch, cache, train,
# and once more without key or line.
if command -v cargo-nextest >/dev/null; then
    step cargo nextest run --release --workspace --no-fail-fast
else
    step cargo test --release --workspace --lib --bins --tests --no-fail-fast
fi
step cargo test --release --workspace --doc
step env RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps
step cargo bench --workspace --bench bench -- --test
# The Python package, a workspace of its own: lints, wheel, stubs, tests. Skipped loudly without python3.
step cargo fmt --manifest-path python/Cargo.toml --check
step env PYO3_BUILD_EXTENSION_MODULE=1 cargo clippy --release --manifest-path python/Cargo.toml -- -D warnings
# Beside the program that the tests ran: one model file gives the same trades in both, and parts of a test on many processes run it.
step env ZERODTE_PROGRAM="$(readlink -f "${CARGO_TARGET_DIR:-target}")/release/zerodte" scripts/python.sh

# The whole job on real bars, where they are present, with the binaries that the tests ran.
bars=../shared/data/bars
if [ -d "$bars" ]; then
    bin=${CARGO_TARGET_DIR:-target}/release
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    step "$bin/train_historical_model" --symbols SPY,QQQ,SPX --timesteps 25000 --model-name ci --human-momentum \
        --data-source files --data-dir "$bars" --intraday-days 60 --learning-rate 3e-5 --ent-coef 0.06 --gamma 0.92 \
        --n-steps 512 --out-dir "$out" >/dev/null
    step grep -A 6 "MomentumDiagnostics @ step=25,000" "$out/logs/training/ci_25k.log"
    step "$bin/zerodte" backtest --model "$out/models/ci" --data-source files --data-dir "$bars" --symbols SPY \
        --start-date 2025-06-24 --json "$out/report.json" --trades "$out/trades.csv"
else
    echo "skipped: the end-to-end run on real bars needs $bars" >&2
fi
echo "all checks passed" >&2
