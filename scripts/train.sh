#!/usr/bin/env bash
# Everything from a fresh clone to a trained model: a release build, then train_historical_model with ARGS. Without ARGS it runs
# `zerodte demo`, which needs neither data nor keys.
#
#   scripts/train.sh
#   scripts/train.sh --symbols SPY,QQQ,SPX --timesteps 100000 --model-name tune1 --human-momentum \
#       --data-source files --data-dir BARS --intraday-days 60 --ent-coef 0.06
#   scripts/train.sh --help
#
# Paths in ARGS are relative to the caller's folder. The build is native, without libtorch, unless libtorch is in place
# (scripts/setup.sh, LIBTORCH) or ARGS ask for it: --device cuda, --forecaster.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/steps.sh
source "$root/scripts/steps.sh"

# Prints the value that ARGS ($2...) give to the flag $1 last, if any.
value_of() {
    local flag=$1 found="" previous="" word
    for word in "${@:2}"; do
        if [ "$previous" = "$flag" ]; then found=$word; fi
        case $word in "$flag="*) found=${word#*=} ;; esac
        previous=$word
    done
    echo "$found"
}

# Prints the part of libtorch that ARGS need: cuda, cpu or nothing.
wanted_libtorch() {
    case $(value_of --device "$@") in cuda*) echo cuda && return ;; esac
    if [ -n "$(value_of --forecaster "$@")" ]; then echo cpu; fi
}

# Checks what would stop a build, or the program after it. A built program checks ARGS itself, within a second.
check() {
    local libtorch=$1 space=2
    shift
    command -v cargo >/dev/null || fail "cargo is not installed: install Rust from https://rustup.rs"
    command -v cc >/dev/null || fail "there is no C compiler: install gcc (Debian, Ubuntu: apt install build-essential)"
    [ ! -x "$target/release/train_historical_model" ] || return 0
    local config data source
    config=$(value_of --config "$@")
    data=$(value_of --data-dir "$@")
    source=$(value_of --data-source "$@")
    # A name without a dot and a slash is a built-in profile.
    case $config in */* | *.*) [ -e "$config" ] || fail "--config $config: there is no such file" ;; esac
    # A vendor's cache is created; a configuration may name another source.
    if [ -n "$data" ] && [ ! -d "$data" ] && { [ "$source" = files ] || [ -z "$source$config" ]; }; then
        fail "--data-dir $data: there is no such folder"
    fi
    if [ -n "$libtorch" ]; then space=6; fi
    need_space "$space" "$target" "the build"
}

# Prints the number of crates that are compiled.
crates() { echo "$(grep -c '"reason":"compiler-artifact"' "$scratch/messages" || true) crates"; }

# Builds the programs; cargo prints its bar on a terminal, elsewhere only errors.
# cargo reads .cargo/config.toml from the folder it runs in, and says in its messages where the programs lie.
build() {
    if [ ! -t 2 ]; then set -- "$@" --quiet; fi
    cd "$root"
    cargo build --release --locked --bin train_historical_model --bin zerodte "$@" \
        --message-format=json-render-diagnostics >"$scratch/messages"
}

[ -n "${HOME:-}" ] || fail "HOME is not set: set it to your home folder, such as export HOME=/root"
PATH=$PATH:$HOME/.cargo/bin
target=${CARGO_TARGET_DIR:-$root/target}
libtorch=$(wanted_libtorch "$@")
if [ -z "$libtorch" ] && { [ -n "${LIBTORCH:-}" ] || [ -e "$root/.libtorch/lib/libtorch_cpu.so" ]; }; then libtorch=cpu; fi
check "$libtorch" "$@"

case $libtorch in
    cuda) features=() && "$root/scripts/setup.sh" --cuda ;;
    cpu) features=() && "$root/scripts/setup.sh" ;;
    *) features=(--no-default-features) ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
touch "$scratch/messages"
echo "train.sh: building${libtorch:+ with libtorch} (the first build takes about ten minutes on two cores)" >&2
(with_progress building crates build "${features[@]}") || fail "the build failed, see above"
programs=$(programs_folder "$scratch/messages")
rm -rf "$scratch"
if [ $# -eq 0 ]; then exec "$programs/zerodte" demo; fi
exec "$programs/train_historical_model" "$@"
