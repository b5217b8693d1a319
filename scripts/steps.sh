# shellcheck shell=bash
# Sourced by the other scripts: the end of a script with one sentence, the check of disk space, the place of
# built programs, and the progress of a long step.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Fails unless $1 GB are free where the folder $2 lies or will lie.
need_space() {
    local folder=$2 free
    while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
    free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$1" ] || fail "$folder has $free GB of free disk space, $3 needs $1 GB: make room there"
}

# Prints the folder of the programs that cargo built, from the file $1 with its JSON messages.
programs_folder() { sed -n 's#.*"executable":"\([^"]*\)/train_historical_model".*#\1#p' "$1" | tail -1; }

# Runs the command $3... and prints "$1, 45 s, what the function $2 prints" every 15 s until it ends; only where stderr is no terminal.
with_progress() {
    local label=$1 measure=$2 status=0 since=$SECONDS reporter
    shift 2
    if [ -t 2 ]; then
        "$@"
        return
    fi
    # Its sleep holds none of the caller's pipes open, and it ends when this script was killed.
    while sleep 15 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        echo "${0##*/}: $label, $((SECONDS - since)) s, $("$measure")" >&2
    done &
    reporter=$!
    "$@" || status=$?
    kill "$reporter" 2>/dev/null || true
    wait "$reporter" 2>/dev/null || true
    return "$status"
}
