#!/usr/bin/env bash
# Puts a private libtorch in place and nothing else. A second run costs nothing.
#
#   scripts/setup.sh          the CPU libraries of PyTorch 2.11 (three wheels, about 1.2 GB on disk)
#   scripts/setup.sh --cuda   the full wheel set, for a machine with an NVIDIA GPU (about 4.6 GB)
#
# A LIBTORCH of your own wins: then this script does nothing. The files go to ${XDG_CACHE_HOME:-~/.cache}/zerodte and are
# shared by all clones; the clone itself holds only the link .libtorch, which .cargo/config.toml names.
set -euo pipefail
cd "$(dirname "$0")/.."

torch=2.11.0
flavour=cpu
case "${1:-}" in
    "") ;;
    --cuda) flavour=cuda ;;
    *) echo "setup.sh: unknown option $1 (the only one is --cuda)" >&2; exit 2 ;;
esac
if [ -n "${LIBTORCH:-}" ]; then
    [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || { echo "setup.sh: LIBTORCH=$LIBTORCH holds no lib/libtorch_cpu.so" >&2; exit 1; }
    exit 0
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/zerodte
# A full set serves the CPU as well, so a plain call keeps it.
if [ "$flavour" = cpu ] && [ -e "$cache/libtorch-$torch-cuda/lib/libtorch_cpu.so" ]; then flavour=cuda; fi
home=$cache/libtorch-$torch-$flavour

if [ ! -e "$home/lib/libtorch_cpu.so" ]; then
    command -v python3 >/dev/null || { echo "setup.sh: python3 with pip is needed once, to fetch the torch wheel" >&2; exit 1; }
    mkdir -p "$cache"
    part=$(mktemp -d -p "$cache")
    trap 'rm -rf "$part"' EXIT
    echo "setup.sh: fetching libtorch $torch ($flavour) into $home" >&2
    pip=(python3 -m pip install --quiet --disable-pip-version-check --no-compile --root-user-action=ignore --target "$part/site")
    if [ "$flavour" = cuda ]; then
        "${pip[@]}" "torch==$torch"
    else
        "${pip[@]}" --no-deps "torch==$torch" "nvidia-cuda-runtime==13.0.96" "nvidia-cuda-cupti==13.0.85"
    fi
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
