#!/usr/bin/env bash
# Judges caption files by tests/tools/check_captions.py; see there.
#
#   checker.sh [LIMITS] FILE...
#
# The first time it fetches the two parsers from PyPI (1 MB, Python alone) into the cache.
set -euo pipefail
parsers=(webvtt-py==0.6.0 pysubs2==1.8.1)
rules=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/tests/tools/check_captions.py

fail() {
    printf 'checker.sh: %s\n' "$1" >&2
    exit 2
}

cache=${XDG_CACHE_HOME:-~/.cache}/paraformerasr
folder=$cache/caption-parsers-$(printf '%s-' "${parsers[@]//==/-}")
folder=${folder%-}
if [[ ! -d $folder ]]; then
    python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing, which fetches the parsers of captions (Debian: python3-pip)"
    echo "Fetching ${parsers[*]} into $folder" >&2
    mkdir -p -- "$cache"
    work=$(mktemp -d -- "$cache/incomplete.XXXXXX")
    trap 'rm -rf -- "$work"' EXIT
    # Into a folder of their own, so that the system's Python stays as it is.
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir --no-deps --only-binary :all: \
        --target "$work/parsers" "${parsers[@]}" >&2 || fail "pip could not fetch ${parsers[*]}: they are needed once, from PyPI"
    # Moved last and at once: nothing that looks complete is not. Another test may have been faster.
    mv -T -- "$work/parsers" "$folder" 2>/dev/null || [[ -d $folder ]] || fail "$folder cannot be written"
fi
PYTHONPATH=$folder PYTHONDONTWRITEBYTECODE=1 python3 "$rules" "$@"
