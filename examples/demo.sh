#!/usr/bin/env bash
# Captions the bundled recording on this machine, from a bare Debian 12 on: installs what is missing, builds the plugin, shows the
# words as they are recognised, and writes target/demo/recording.srt and .vtt.
#
#   examples/demo.sh [--yes]     --yes installs Rust without asking where it is missing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# > 1)) || [[ ${1:---yes} != --yes ]]; then
    echo "usage: examples/demo.sh [--yes]" >&2
    exit 2
fi

target=$(realpath -m -- "${CARGO_TARGET_DIR:-target}")
out=$target/demo
srt=$out/recording.srt
vtt=$out/recording.vtt
log=$out/gstreamer.log

# What happens to the text at the end of each utterance.
stages=(offline-model-path=models/demo-offline punctuation-model-path=models/demo-punctuation)

title() {
    if [[ -t 1 ]]; then
        printf '\n\033[1m%s\033[0m\n' "$1"
    else
        printf '\n%s\n' "$1"
    fi
}

fail() {
    printf '\nThe demo failed: %s\n' "$1" >&2
    if [[ -s $log ]]; then
        printf 'The last lines of %s:\n' "$log" >&2
        tail -n 15 -- "$log" >&2
    fi
    exit 1
}

# Runs the recording through gst-launch-1.0, with the elements given after its samples have been read.
caption() {
    gst-launch-1.0 -v filesrc location=examples/recording.wav ! wavparse ! audioconvert ! audioresample ! "$@" 2>>"$log"
}

# From what `gst-launch-1.0 -v` prints, shows the element's current-text: a line that grows on a terminal, else a line for each change.
show_text() {
    local line text shown=
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        [[ $line == *': current-text = '* ]] || continue
        text=${line#*': current-text = '}
        if [[ $text == "$shown" || -z $text || $text == '(null)' ]]; then
            continue
        elif [[ ! -t 1 ]]; then
            printf '    %s\n' "$text"
        elif [[ -z $shown || $text == "${shown:0:1}"* ]]; then
            printf '\r\033[K    %s' "$text"
        else
            printf '\n    %s' "$text"
        fi
        shown=$text
    done
    if [[ -t 1 ]]; then
        echo
    fi
}

# Tells how many of the spoken characters are in the captions; fails where it is less than half: then something is broken.
compare() {
    python3 - examples/recording.txt "$1" <<'PYTHON'
import re, sys

spoken, srt = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
captions = re.sub(r"(?m)^(\d+|.* --> .*)$", "", srt)
spoken, captions = ("".join(re.findall(r"\w", text)) for text in (spoken, captions))
row = list(range(len(captions) + 1))
for i, a in enumerate(spoken, 1):  # edit distance
    row, above = [i], row
    for j, b in enumerate(captions, 1):
        row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
right = max(0, len(spoken) - row[-1])
print(f"{right} of {len(spoken)} characters are as spoken.")
sys.exit(2 * right < len(spoken))
PYTHON
}

title "Checking what this machine has"
scripts/install-debian.sh build demo || fail "the packages above are missing"
cargo=$(scripts/rust.sh "$@") || fail "there is no Rust to build with"
PATH=$(dirname "$cargo"):$PATH
mkdir -p -- "$out"
rm -f -- "$srt" "$vtt" "$log"
library=$(scripts/onnxruntime.sh "$target/release") || fail "there is no ONNX Runtime to run models with"
echo "$("$cargo" --version), $(gst-launch-1.0 --version | grep -o 'GStreamer .*'), ONNX Runtime at $library"

title "Building the plugin"
cargo build --release --locked --target-dir "$target" || fail "the plugin does not build"

export GST_PLUGIN_PATH=$target/release ORT_DYLIB_PATH=$library
export LC_ALL=C.UTF-8 # for the Chinese, on machines without any locale set
(
    # Away from this user's own: the registry of plugins, and any model that would be taken before the built-in one.
    export GST_REGISTRY=$out/registry.bin MODELSCOPE_CACHE=$out/no-models
    unset PARAFORMER_MODEL_PATH
    gst-inspect-1.0 paraformerasr >>"$log" 2>&1 || fail "GStreamer does not find the element paraformerasr in $GST_PLUGIN_PATH"

    title "Captioning examples/recording.wav as it is spoken, with the built-in model"
    echo "At the end of each sentence a second pass corrects it, and commas come in."
    caption identity sync=true ! paraformerasr "${stages[@]}" ! srtenc ! filesink location="$srt" | show_text || fail "gst-launch-1.0 stopped with an error"
    grep -q -e '-->' "$srt" || fail "there are no captions in $srt"

    title "Once more, as fast as this machine can"
    start=$EPOCHREALTIME
    caption paraformerasr "${stages[@]}" ! text/x-raw,format=pango-markup ! webvttenc ! filesink location="$vtt" >>"$log" || fail "gst-launch-1.0 stopped with an error"
    end=$EPOCHREALTIME
    grep -q -e '-->' "$vtt" || fail "there are no captions in $vtt"
    seconds=$(($(stat --format=%s examples/recording.wav) / 32000))
    echo "$seconds s of speech took $(((${end/[.,]/} - ${start/[.,]/}) / 1000)) ms, with GStreamer's start and the model's loading."
) || exit 1

title "$srt"
cat -- "$srt"
title "$vtt"
cat -- "$vtt"
title "What was spoken"
cat examples/recording.txt
echo
compare "$srt" || fail "that is too little to be right"

title "Your turn"
cat <<END
The built-in model is small and for demonstrations. To go on in this shell, first type:

    export GST_PLUGIN_PATH=${GST_PLUGIN_PATH@Q} ORT_DYLIB_PATH=${ORT_DYLIB_PATH@Q}

Your microphone (Ctrl-C ends it, and -e captions what was said last):

    gst-launch-1.0 -q -e autoaudiosrc ! audioconvert ! audioresample ! queue ! paraformerasr ! srtenc ! fdsink

Your own file, whatever GStreamer can read:

    gst-launch-1.0 filesrc location=film.mp4 ! decodebin ! audioconvert ! audioresample ! paraformerasr ! srtenc ! filesink location=film.srt

Numbers, punctuation, your own words and a second pass: "Better text" in README.md.

FunASR's published model, for real speech (with PARAFORMER_MODEL_PATH set, the same lines use it):

    python3 -m venv ~/modelscope && ~/modelscope/bin/pip install modelscope
    ~/modelscope/bin/modelscope download --local-dir ~/paraformer-online iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online-onnx
    export PARAFORMER_MODEL_PATH=~/paraformer-online

All properties: gst-inspect-1.0 paraformerasr. More lines, for live streams, subtitle tracks and pictures: README.md.
END
