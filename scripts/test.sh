#!/usr/bin/env bash
# Sets up and runs every check, exactly as CI does. No GPU and no network beyond the package registries.
# Everything is built under one profile (release), so the dependency tree is compiled once.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
# One path for all clones: moving a clone does not rebuild the libtorch bindings.
LIBTORCH=$(readlink -f "${LIBTORCH:-.libtorch}")
export LIBTORCH

step() { printf '\n== %s\n' "$*" >&2; "$@"; }

step cargo fmt --all --check
step cargo clippy --release --workspace --all-targets -- -D warnings
if command -v cargo-nextest >/dev/null; then
    step cargo nextest run --release --workspace
else
    step cargo test --release --workspace --lib --bins --tests
fi
step cargo test --release --workspace --doc
step env RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --document-private-items
step cargo bench --bench bench -- --test

# The whole job on real bars, where they are present.
bars=../shared/data/bars
if [ -d "$bars" ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    step cargo run --release --bin train_historical_model -- --symbols SPY,QQQ,SPX --timesteps 25000 --model-name ci \
        --human-momentum --data-source files --data-dir "$bars" --intraday-days 60 --learning-rate 3e-5 --ent-coef 0.06 \
        --gamma 0.92 --n-steps 512 --out-dir "$out"
    step grep -A 6 "MomentumDiagnostics @ step=25,000" "$out/logs/training/ci_25k.log"
    step cargo run --release --bin zerodte -- backtest --model "$out/models/ci" --data-source files --data-dir "$bars" \
        --symbols SPY --intraday-days 10 --json "$out/backtest.json" --trades "$out/trades.csv"
else
    echo "skipped: the end-to-end run on real bars needs $bars" >&2
fi
echo "all checks passed" >&2
