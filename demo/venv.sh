#!/bin/sh
# Creates a virtual environment: venv.sh PYTHON FOLDER PIP_ARGUMENT...
# With PYTHON alone, only checks whether that Python can be used. Each error is one line that says what to do.
# While pip works, a terminal shows its progress on one line; elsewhere, it is a line every 10 seconds.
set -eu
python=$1
progress=
fail() {
    stop_progress
    echo "$*" >&2
    exit 1
}

# Shows the last line of pip and the seconds so far. Ends with this script, even if the script is killed.
show_progress() {
    if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then pause=1 begin='\r' end='\033[K'; else pause=10 begin= end='\n'; fi
    seconds=0
    while sleep $pause >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        seconds=$((seconds + pause))
        last=$(sed -n 's/^ *\([A-Z][a-z].*\)/\1/p' "$log" 2>/dev/null | tail -n 1 | cut -c 1-50)
        printf "$begin  %s: %s s, %s$end" "$folder" $seconds "${last:-creating it}"
    done
}
stop_progress() {
    [ -n "$progress" ] || return 0
    kill "$progress" 2>/dev/null || true
    wait "$progress" 2>/dev/null || true
    progress=
    if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then printf '\r\033[K'; fi
}

command -v "$python" >/dev/null 2>&1 ||
    fail "There is no $python here: install Python 3.10 or later, or name one, as in: make sync PYTHON=python3.12"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "$python does not run: install Python 3.10 or later, or name one, as in: make sync PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$python is Python $version, and tap-twilio needs 3.10 or later: name one, as in: make sync PYTHON=python3.12"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python has no venv module: install it (Debian and Ubuntu: apt install python$version-venv), then try again."
[ $# -gt 1 ] || exit 0

folder=$2
shift 2
log=$folder.log
rm -rf "$folder"
echo "Installing into $folder: $* ..."
trap stop_progress EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
show_progress &
progress=$!
"$python" -m venv "$folder" >"$log" 2>&1 ||
    fail "$python could not make $folder: $(tail -n 1 "$log")"
"$folder/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off "$@" >>"$log" 2>&1 || {
    error=$(grep -i '^ *error' "$log" | tail -n 1)
    fail "pip could not install into $folder: is PyPI reachable (HTTPS_PROXY, PIP_INDEX_URL)? Its output is in $log; its last error: ${error:-none}"
}
rm -f "$log"
