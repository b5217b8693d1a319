#!/usr/bin/env bash
# Builds the Python package as a wheel, installs it into a private venv, and runs its tests. No libtorch, no GPU.
#
#   scripts/python.sh          the tests that need numpy, gymnasium, pandas, polars and onnxruntime, and the notebook
#   scripts/python.sh --all    all tests: installs Stable-Baselines3 and sb3-contrib too (PyTorch, about 6 GB)
#   scripts/python.sh --wheel  builds the wheel into dist/ and nothing else
#
# With ZERODTE_PROGRAM, the path of the built program, its results are compared with those of the package.
#
# The venv lies in ${XDG_CACHE_HOME:-~/.cache}/zerodte/python-venv and is shared by all clones. Without python3 (3.11 or newer, with venv)
# it says so and ends without an error.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/steps.sh
source scripts/steps.sh

mode=${1:-}
case "$mode" in
    "" | --all | --wheel) ;;
    *) fail "unknown option $mode (there are --all and --wheel)" ;;
esac
if ! python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "skipped: the Python package needs python3, 3.11 or newer, with venv (Debian, Ubuntu: apt install python3-venv)" >&2
    exit 0
fi

[ -n "${XDG_CACHE_HOME:-${HOME:-}}" ] || fail "HOME is not set: set it to your home folder, such as export HOME=/root"
venv=${XDG_CACHE_HOME:-$HOME/.cache}/zerodte/python-venv
need_space 3 "$(dirname "$venv")" "the venv of the Python package"
if [ ! -x "$venv/bin/python" ]; then python3 -m venv "$venv"; fi
pip=("$venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" "maturin>=1.16,<2" "numpy>=1.26" "gymnasium>=1.1,<2" pytest mypy pandas pyarrow polars onnxruntime nbclient ipykernel
if [ "$mode" = --all ]; then
    need_space 8 "$venv" "PyTorch"
    "${pip[@]}" "stable-baselines3>=2.4,<3" "sb3-contrib>=2.4,<3"
fi

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
if [ "$mode" = --wheel ]; then wheels=dist; fi
"$venv/bin/maturin" build --quiet --release --locked --manifest-path python/Cargo.toml --out "$wheels"
wheel=$(ls -t "$wheels"/zerodte-*.whl | head -1)
kilobytes=$(($(stat -c %s "$wheel") / 1024))
echo "python.sh: ${wheel##*/}, $kilobytes KB" >&2
[ "$kilobytes" -le 3072 ] || fail "the wheel has $kilobytes KB, more than 3 MB"
if [ "$mode" = --wheel ]; then exit 0; fi

"${pip[@]}" --force-reinstall --no-deps "$wheel"
# Away from the sources, so that the installed package is imported.
repository=$PWD
cd "$wheels"
marks=(-m "not heavy")
if [ "$mode" = --all ]; then marks=(); else echo "skipped: the tests with Stable-Baselines3, which scripts/python.sh --all runs; those with TorchRL, RLlib and PufferLib run where they are installed" >&2; fi
"$venv/bin/python" -m pytest -c "$repository/python/pyproject.toml" --rootdir "$repository/python" -p no:cacheprovider -rs "${marks[@]}" "$repository/python/tests"
"$venv/bin/python" -m mypy.stubtest zerodte._core
