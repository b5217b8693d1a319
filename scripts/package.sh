#!/usr/bin/env bash
# Packs both programs, built without libtorch, with their documents: dist/zerodte-VERSION-linux-x86_64.tar.gz, and its SHA-256 beside
# it. The programs need glibc and nothing else.
#
#   scripts/package.sh
#   tar -xzf zerodte-VERSION-linux-x86_64.tar.gz && zerodte-VERSION-linux-x86_64/zerodte demo
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/steps.sh
source scripts/steps.sh

# Writes shell completions and man pages into the folder, if the program has the commands.
write_completions_and_man() {
    if ./zerodte --help | grep -q '^  completions'; then
        mkdir completions
        local shell
        for shell in bash zsh fish; do ./zerodte completions "$shell" >"completions/zerodte.$shell"; done
    fi
    if ./zerodte --help | grep -q '^  man'; then ./zerodte man --out man; fi
}

# Runs the packed programs: they link no libtorch, train, and refuse what needs libtorch with exit code 2.
try() {
    local smoke=(./train_historical_model --config configs/smoke.toml --out-dir "$part/out") status=0
    ldd zerodte train_historical_model | grep -q torch && fail "the programs link libtorch"
    "${smoke[@]}" >"$part/try.log" 2>&1 || { cat "$part/try.log" >&2 && fail "the packed program does not train, see above"; }
    "${smoke[@]}" --device cuda >/dev/null 2>"$part/refusal" || status=$?
    if [ "$status" != 2 ] || ! grep -q "this build has no libtorch" "$part/refusal"; then
        fail "the packed program does not refuse a GPU: $(cat "$part/refusal")"
    fi
}

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=zerodte-$version-linux-$(uname -m)
mkdir -p dist
part=$(mktemp -d -p "$PWD/dist")
trap 'rm -rf "$part"' EXIT
cargo build --release --locked --no-default-features --bin train_historical_model --bin zerodte \
    --message-format=json-render-diagnostics >"$part/messages"
mkdir "$part/$name"
cp "$(programs_folder "$part/messages")"/{zerodte,train_historical_model} "$part/$name"
cp -r README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE configs docs "$part/$name"
strip "$part/$name"/{zerodte,train_historical_model}
(cd "$part/$name" && write_completions_and_man && try)
# The same commit gives the same bytes.
date=$(git log -1 --format=%cI 2>/dev/null || echo 2000-01-01)
tar -C "$part" --sort=name --owner=0 --group=0 --numeric-owner --mtime="$date" -c "$name" | gzip -9n >"$part/$name.tar.gz"
(cd "$part" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
mv "$part/$name.tar.gz" "$part/$name.tar.gz.sha256" dist/
echo "dist/$name.tar.gz: $(du -h "dist/$name.tar.gz" | cut -f 1)"
if command -v objdump >/dev/null; then
    oldest=$(objdump -T "$part/$name"/{zerodte,train_historical_model} | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
    echo "oldest glibc: ${oldest#GLIBC_}"
fi
