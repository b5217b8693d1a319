#!/usr/bin/env bash
# The one-line greps by which training logs are watched, of this program's logs and of the old system's. All shares in them are
# averages since step 0; `zerodte watch LOG` shows what the policy does now.
#
#   scripts/watch.sh follow LOG     new blocks and tables as they come (Ctrl-C ends it)
#   scripts/watch.sh at STEP LOG    the block at a step, written 25000 or 25,000
#   scripts/watch.sh latest LOG     the newest block
#   scripts/watch.sh errors LOG     the last lines that speak of errors
#   scripts/watch.sh summary LOG    the shares at 5k, 10k, 25k, 50k, 100k, 250k and 500k steps as a Markdown table
set -euo pipefail

usage() { sed -n '5,9s/^#   //p' "$0" >&2; exit 2; }

# Writes a number with commas between its thousands, as the blocks do.
commas() { sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta' <<<"${1//,/}"; }

# Prints the block at step $1 of the log $2: the header, as many actions as there are, the strong setups, the triggers.
block() { sed -n "/MomentumDiagnostics @ step=$1\$/,/^Triggers:/p" "$2"; }

# Prints the first percentage of the line of a block that matches $1, or a dash.
share() { grep -m1 "$1" | grep -o '[0-9.]*%' | head -1 || echo -; }

follow() { tail -n +1 -f "$1" | grep --line-buffered -E "(MomentumDiagnostics|  action [0-9]|Strong-setup|Triggers|time/|train/)"; }

at() {
    local found
    found=$(block "$(commas "$1")" "$2")
    [ -n "$found" ] || { echo "watch.sh: $2 has no block at step $(commas "$1")" >&2; exit 1; }
    echo "$found"
}

latest() {
    local step
    step=$(grep -o 'MomentumDiagnostics @ step=[0-9,]*' "$1" | tail -1) || { echo "watch.sh: $1 has no block" >&2; exit 1; }
    block "${step##*=}" "$1"
}

errors() { grep -i -E "error|\bnan\b" "$1" | tail || echo "none"; }

summary() {
    echo "| step | HOLD | BUY | strong BUY |"
    echo "| --- | --- | --- | --- |"
    local step found hold call put buy
    for step in 5,000 10,000 25,000 50,000 100,000 250,000 500,000; do
        found=$(block "$step" "$1")
        [ -n "$found" ] || continue
        hold=$(share 'action 0:' <<<"$found")
        call=$(share 'action 1:' <<<"$found")
        put=$(share 'action 2:' <<<"$found")
        buy=$(awk -v a="${call%\%}" -v b="${put%\%}" 'BEGIN { printf "%.1f%%", a + b }')
        echo "| $step | $hold | $buy | $(share 'BUY rate=' <<<"$found") |"
    done
}

case "${1:-} $#" in
    "at 3") log=$3 ;;
    "follow 2" | "latest 2" | "errors 2" | "summary 2") log=$2 ;;
    *) usage ;;
esac
[ -f "$log" ] || { echo "watch.sh: there is no log $log" >&2; exit 1; }
"$@"
