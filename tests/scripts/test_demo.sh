#!/usr/bin/env bash
# examples/demo.sh with a fake cargo and a fake GStreamer: that it shows what it is given, and never calls a failure a success.
# (tests/scripts/test_demo_real.sh runs it with the real ones.)
# shellcheck disable=SC2016 # the fakes expand what is quoted here, when they run
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
demo=$root/examples/demo.sh

fake dpkg-query <<<'printf installed'
fake cargo <<<'[ "$1" = --version ] && echo "cargo 1.95.0" || exit "${BUILD:-0}"'
fake gst-inspect-1.0 <<<'exit "${INSPECT:-0}"'
# Writes the captions in $CAPTIONS (a file) where the pipeline's filesink says; prints what -v prints.
fake gst-launch-1.0 <<'FAKE'
[ "$1" = --version ] && echo "GStreamer 1.22.0" && exit
for argument in "$@"; do case $argument in location=*) file=${argument#location=} ;; esac; done
echo "Setting pipeline to PLAYING ..."
for text in 大家 大家好 大家好 "" 今天; do echo "/GstPipeline:pipeline0/GstParaformerAsr:paraformerasr0: current-text = $text"; done
echo "ERROR: from element paraformerasr0: words" >&2
cat "$CAPTIONS" >"$file"
exit "${LAUNCH:-0}"
FAKE

right=$work/right.srt
number=0
while IFS= read -r sentence; do
    number=$((number + 1))
    printf '%s\n00:00:00,000 --> 00:00:01,000\n%s\n\n' $number "$sentence"
done <"$root/examples/recording.txt" >"$right"
spoken=$(tr -d '\n' <"$root/examples/recording.txt" | LC_ALL=C.UTF-8 wc -m)
sed 's/^[^0-9].*/好/' "$right" >"$work/wrong.srt"
touch "$work/empty.srt" "$work/ort.so"

run_demo() {
    alone env ORT_DYLIB_PATH="$work/ort.so" CARGO_TARGET_DIR="$work/target" CAPTIONS="$right" "$@" "$demo" --yes
}

run_demo
check "captions as spoken: success" test "$status" = 0
check "  the words are shown as they grow, each once" contains "$out" "    大家
    大家好
    今天"
check "  the files are written" cmp -s "$right" "$work/target/demo/recording.srt"
check "  both of them" cmp -s "$right" "$work/target/demo/recording.vtt"
check "  and compared with what was spoken" contains "$out" "$spoken of $spoken characters"
check "  what to type next is said" contains "$out" "-e autoaudiosrc"

fails() {
    local what=$1 words=$2
    shift 2
    run_demo "$@"
    check "$what: failure" test "$status" = 1
    check "  said in words" contains "$err" "$words"
    check "  and no 'your turn'" test "${out/Your turn/}" = "$out"
}
fails "no captions" "there are no captions" CAPTIONS="$work/empty.srt"
fails "other captions" "too little to be right" CAPTIONS="$work/wrong.srt"
fails "the build fails" "does not build" BUILD=101
fails "the element is not found" "does not find the element" INSPECT=1
fails "the pipeline fails" "from element paraformerasr0: words" LAUNCH=1
fails "no ONNX Runtime" "no ONNX Runtime" ORT_DYLIB_PATH="$work/none.so"

alone "$demo" --no
check "a wrong argument is refused" test "$status" = 2

finish
