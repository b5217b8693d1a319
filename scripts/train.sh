#!/usr/bin/env bash
# Everything from a fresh clone to a trained model: libtorch, a release build, then train_historical_model with ARGS.
#
#   scripts/train.sh --symbols SPY,QQQ,SPX --timesteps 100000 --model-name tune1 --human-momentum \
#       --data-source files --data-dir BARS --intraday-days 60 --ent-coef 0.06
#   scripts/train.sh --help
#
# Paths in ARGS are relative to the caller's folder. The build is quiet unless it fails.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/scripts/setup.sh"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
echo "train.sh: building (the first build takes about ten minutes)" >&2
# cargo reads .cargo/config.toml from the folder it runs in, and says in its messages where the program lies.
if ! (cd "$root" && cargo build --release --locked --bin train_historical_model \
        --message-format=json-render-diagnostics) >"$build/messages" 2>"$build/errors"; then
    cat "$build/errors" >&2
    exit 1
fi
program=$(sed -n 's/.*"executable":"\([^"]*train_historical_model\)".*/\1/p' "$build/messages" | tail -1)
rm -rf "$build"
exec "$program" "$@"
