#!/usr/bin/env bash
# Makes examples/recording.wav from the sentences of examples/recording.txt, one a line: 16 kHz, mono, 16 bits.
# Needs espeak-ng and sox. The sentences keep to the built-in model's vocabulary (models/demo/tokens.json).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../examples"
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

parts=()
while IFS= read -r sentence; do
    part=$work/$((${#parts[@]} + 100)).wav
    espeak-ng -v cmn -s 175 -w "$work/voice.wav" "$sentence"
    # Both ends cut to the speech, then half a pause on each side: 1.2 s lie between two sentences, longer than endpoint-silence.
    sox -D "$work/voice.wav" -r 16000 -c 1 -b 16 "$part" silence 1 0.01 1% reverse silence 1 0.01 1% reverse pad 0.6 0.6
    parts+=("$part")
done <recording.txt
sox -D "${parts[@]}" "$work/recording.wav" gain -n -6
mv -- "$work/recording.wav" recording.wav
soxi recording.wav
