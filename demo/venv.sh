#!/bin/sh
# Makes a virtual environment: venv.sh PYTHON FOLDER PIP_ARGUMENT...
# With PYTHON alone, says whether that Python will do. What fails, fails with one line that says what to do.
set -eu
python=$1
fail() {
    echo "$*" >&2
    exit 1
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
"$python" -m venv "$folder" >"$log" 2>&1 ||
    fail "$python could not make $folder: $(tail -n 1 "$log")"
"$folder/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" >>"$log" 2>&1 || {
    said=$(grep -i '^ *error' "$log" | tail -n 1)
    fail "pip could not install into $folder: is PyPI within reach (HTTPS_PROXY, PIP_INDEX_URL)? All it said is in $log; its last error: ${said:-none}"
}
rm -f "$log"
