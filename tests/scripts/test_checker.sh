#!/usr/bin/env bash
# scripts/checker.sh: it fetches its parsers once, leaves nothing behind where it cannot, and never takes that for a good file.
# pip is a fake; the real one runs where the cache of this user is still empty.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
judge=$root/scripts/checker.sh
cache=$work/home/.cache/paraformerasr
printf '1\n00:00:00,500 --> 00:00:02,000\n大家好\n\n' >"$work/good.srt"
sed 's/00:00:02/00:00:01/' "$work/good.srt" >"$work/bad.srt"

"$judge" "$work/good.srt" || exit
real=("${XDG_CACHE_HOME:-$HOME/.cache}"/paraformerasr/caption-parsers-*)

# `python3 -m pip install` brings what is in $work/wheels, or fails. Everything else goes to the real python3.
python=$tools/python3
fake python3 <<FAKE
if [ "\$2" != pip ]; then exec "$python" "\$@"; fi
[ "\$3" = install ] || exit 0
while [ "\$1" != --target ]; do shift; done
mkdir "\$2" && cp -r "$work"/wheels/. "\$2"
FAKE
alone "$judge" "$work/good.srt"
check "a failed download is no good file" test "$status" = 2
check "  which is said" contains "$err" "pip could not fetch webvtt-py"
check "  and leaves nothing in the cache" test -z "$(ls "$cache")"

cp -r "${real[-1]}" "$work/wheels"
alone "$judge" "$work/good.srt"
check "an empty cache is filled" test "$status:$out" = 0:
check "  with the parsers and nothing else" test "$(ls "$cache")" = "$(basename "${real[-1]}")"

fake python3 <<FAKE
[ "\$2" != pip ] && exec "$python" "\$@"
FAKE
alone "$judge" "$work/bad.srt"
check "a full one is used as it is" test "$status" = 1
check "  and a fault is told" contains "$out" "$work/bad.srt: caption 1: lasts 500 ms"
alone env XDG_CACHE_HOME="$work/cache" "$judge" "$work/good.srt"
check "without pip missing parsers are a failure" test "$status" = 2
check "  which says so" contains "$err" "pip is missing"
alone "$judge"
check "no file is a failure" test "$status" = 2

finish
