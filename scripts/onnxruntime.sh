#!/usr/bin/env bash
# Prints the path of libonnxruntime.so, the library the element loads when a model is opened.
#
#   onnxruntime.sh [PLUGIN_FOLDER]
#
# Takes $ORT_DYLIB_PATH; else the library beside the plugin, in PLUGIN_FOLDER; else the one in the cache. Debian has no package of
# it, so the cache is filled from the wheel on PyPI: the library inside needs no Python, and is the build the project is tested with.
set -euo pipefail
version=1.31.1

fail() {
    printf 'onnxruntime.sh: %s\n' "$1" >&2
    exit 1
}

if [[ -n ${ORT_DYLIB_PATH:-} ]]; then
    [[ -f $ORT_DYLIB_PATH ]] || fail "ORT_DYLIB_PATH names no file: $ORT_DYLIB_PATH"
    realpath -- "$ORT_DYLIB_PATH"
    exit
fi
if [[ -n ${1:-} ]]; then
    for library in "$1"/libonnxruntime.so*; do
        if [[ -f $library ]]; then
            realpath -- "$library"
            exit
        fi
    done
fi

cache=${XDG_CACHE_HOME:-~/.cache}/paraformerasr/onnxruntime-$version
library=$cache/libonnxruntime.so
if [[ ! -f $library ]]; then
    python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing, which fetches ONNX Runtime (Debian: python3-pip)"
    echo "Fetching ONNX Runtime $version (24 MB) into $cache" >&2
    mkdir -p -- "$cache"
    work=$(mktemp -d -- "$cache/incomplete.XXXXXX")
    trap 'rm -rf -- "$work"' EXIT
    # The library is the same in the wheels of all Python versions; naming one lets any Python fetch it.
    python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
        --python-version 3.11 --dest "$work" "onnxruntime==$version" >&2 || fail "pip found no onnxruntime $version for this machine"
    python3 -m zipfile --extract "$work"/onnxruntime-"$version"-*.whl "$work"
    fresh=$work/onnxruntime/capi/libonnxruntime.so.$version
    [[ -f $fresh ]] || fail "the wheel of onnxruntime $version holds no libonnxruntime.so.$version"
    python3 -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1]).OrtGetApiBase' "$fresh" >&2 || fail "the library does not load: $fresh"
    # Moved last and at once, so that an interrupted download leaves nothing that looks complete.
    mv -- "$fresh" "$library"
fi
realpath -- "$library"
