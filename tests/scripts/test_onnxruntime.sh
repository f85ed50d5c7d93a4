#!/usr/bin/env bash
# scripts/onnxruntime.sh: where it looks, in which order, and that a bad download leaves nothing behind. pip is a fake; the real one
# runs when tests/run.sh starts on a machine without the library.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
find=$root/scripts/onnxruntime.sh
cache=$work/home/.cache/paraformerasr/onnxruntime-1.31.1

# pip_brings FILE: a fake `python3 -m pip`, whose wheel holds FILE as the library. Everything else goes to the real python3.
python=$tools/python3
pip_brings() {
    fake python3 <<FAKE
if [ "\$2" != pip ]; then exec "$python" "\$@"; fi
[ "\$3" = download ] || exit 0
while [ "\$1" != --dest ]; do shift; done
mkdir -p "$work/wheel/onnxruntime/capi"
cp "$1" "$work/wheel/onnxruntime/capi/libonnxruntime.so.1.31.1" || exit
cd "$work/wheel" && "$python" -m zipfile --create "\$2/onnxruntime-1.31.1-cp311-cp311-any.whl" onnxruntime
FAKE
}

touch "$work/mine.so"
alone env ORT_DYLIB_PATH="$work/mine.so" "$find"
check "ORT_DYLIB_PATH comes first" test "$status:$out" = "0:$work/mine.so"
alone env ORT_DYLIB_PATH="$work/none.so" "$find"
check "ORT_DYLIB_PATH must name a file" test "$status:$out" = 1:

mkdir "$work/plugins"
touch "$work/plugins/libonnxruntime.so.1.31.1"
alone "$find" "$work/plugins"
check "then the plugin's folder" test "$status:$out" = "0:$work/plugins/libonnxruntime.so.1.31.1"

real=$("$find")
pip_brings "$real"
alone "$find" "$work/empty"
check "an empty cache is filled" test "$status:$out" = "0:$cache/libonnxruntime.so"
check "  with the wheel's library" cmp -s "$real" "$cache/libonnxruntime.so"
check "  and nothing else" test "$(ls "$cache")" = libonnxruntime.so
fake python3 <<<'exit 1'
alone "$find"
check "a full one is used as it is" test "$status:$out$err" = "0:$cache/libonnxruntime.so"
alone env XDG_CACHE_HOME="$work/cache" "$find"
check "without pip a missing library is a failure" test "$status:$out" = 1:
check "  which says so" contains "$err" "pip is missing"

echo "not a library" >"$work/bad"
for bad in "$work/bad" "$work/absent"; do
    rm -rf "$cache"
    pip_brings "$bad"
    alone "$find"
    check "a wheel with $(basename "$bad") is a failure" test "$status:$out" = 1:
    check "  and leaves nothing in the cache" test -z "$(ls "$cache")"
done

finish
