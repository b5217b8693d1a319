#!/usr/bin/env bash
# Puts a private libtorch in place and nothing else; GPUs and forecasters need it. A second run costs nothing.
#
#   scripts/setup.sh          the CPU libraries of PyTorch 2.11 (three wheels, about 1.2 GB on disk)
#   scripts/setup.sh --cuda   the full wheel set, for a machine with an NVIDIA GPU (about 4.6 GB)
#
# A LIBTORCH of your own wins: then this script does nothing. The files go to ${XDG_CACHE_HOME:-~/.cache}/zerodte and are
# shared by all clones; the clone itself holds only the link .libtorch, which .cargo/config.toml names.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/steps.sh
source scripts/steps.sh

torch=2.11.0
flavour=cpu
case "${1:-}" in
    "") ;;
    --cuda) flavour=cuda ;;
    *) echo "setup.sh: unknown option $1 (the only one is --cuda)" >&2; exit 2 ;;
esac
if [ -n "${LIBTORCH:-}" ]; then
    [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || fail "LIBTORCH=$LIBTORCH holds no lib/libtorch_cpu.so: correct or unset it"
    exit 0
fi

[ -n "${XDG_CACHE_HOME:-${HOME:-}}" ] || fail "HOME is not set: set it to your home folder, such as export HOME=/root"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/zerodte
# A full set serves the CPU as well, so a plain call keeps it.
if [ "$flavour" = cpu ] && [ -e "$cache/libtorch-$torch-cuda/lib/libtorch_cpu.so" ]; then flavour=cuda; fi
home=$cache/libtorch-$torch-$flavour

if [ ! -e "$home/lib/libtorch_cpu.so" ]; then
    install="install it (Debian, Ubuntu: apt install python3-pip)"
    command -v python3 >/dev/null || fail "python3 is not installed, which fetches libtorch: $install"
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip, which fetches libtorch: $install"
    if [ "$flavour" = cuda ]; then need_space 12 "$cache" "libtorch for GPUs"; else need_space 3 "$cache" libtorch; fi
    mkdir -p "$cache"
    part=$(mktemp -d -p "$cache")
    trap 'rm -rf "$part"' EXIT
    echo "setup.sh: fetching libtorch $torch ($flavour) into $home" >&2
    mkdir "$part/tmp"
    # Temporary files lie in the same folder, so that the size of it shows the progress.
    pip=(env TMPDIR="$part/tmp" python3 -m pip install --disable-pip-version-check --no-cache-dir --no-compile
        --root-user-action=ignore --target "$part/site")
    if [ ! -t 2 ]; then pip+=(--quiet); fi
    packages=("torch==$torch")
    if [ "$flavour" = cpu ]; then packages+=(--no-deps "nvidia-cuda-runtime==13.0.96" "nvidia-cuda-cupti==13.0.85"); fi
    fetched() { echo "$(du -sm "$part" | cut -f 1) MB"; }
    with_progress "fetching libtorch" fetched "${pip[@]}" "${packages[@]}" >&2 || fail "pip could not fetch libtorch, see above"
    rm -rf "$part/tmp"
    mkdir "$part/lib"
    ln -s site/torch/include "$part/include"
    libraries=(libtorch_cpu.so libc10.so)
    # The wheel's own libtorch.so pulls in CUDA; this linker script asks for the CPU part only.
    echo "INPUT(libtorch_cpu.so)" > "$part/lib/libtorch.so"
    if [ "$flavour" = cuda ]; then libraries+=(libtorch_cuda.so libc10_cuda.so); fi
    for library in "${libraries[@]}"; do ln -s "../site/torch/lib/$library" "$part/lib/$library"; done
    echo "$torch" > "$part/build-version"
    rm -rf "$home"
    mv "$part" "$home"
    trap - EXIT
fi
if [ "$(readlink .libtorch || true)" != "$home" ]; then ln -sfn "$home" .libtorch; fi
