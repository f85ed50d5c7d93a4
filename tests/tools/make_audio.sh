#!/bin/sh
# Makes tests/data/audio/speech.wav and noise.wav (16 kHz mono s16). Needs espeak-ng and sox.
#   make_audio.sh OUT_DIR
# The texts have no punctuation: with it espeak-ng 1.51 writes other bytes each time.
# noise.wav is bursts of noise between pauses: what a microphone hears before anybody speaks. -R fixes sox's random seed,
# -D turns dither off, so that the same versions write the same bytes.
set -eu
out=${1:?usage: make_audio.sh OUT_DIR}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

espeak-ng -v cmn+f2 -s 210 -w "$work/first.wav" "今天天气很好"
espeak-ng -v cmn+m3 -s 200 -w "$work/second.wav" "请问现在几点了"
espeak-ng -v cmn -s 220 -w "$work/third.wav" "电话号码一三八零五"
sox -R -D "$work/first.wav" "$work/second.wav" "$work/third.wav" -b 16 "$out/speech.wav" rate -h 16000 gain -n -6

sox -R -D -n -r 16000 -b 16 "$work/long.wav" synth 0.9 pinknoise fade 0.05 0 0.2 vol 0.5 pad 0.3 0.2
sox -R -D -n -r 16000 -b 16 "$work/short.wav" synth 0.35 whitenoise fade 0.02 0 0.1 vol 0.2 pad 0 0.45
sox -R -D -n -r 16000 -b 16 "$work/low.wav" synth 1.1 brownnoise tremolo 5 80 fade 0.1 0 0.3 vol 0.6 pad 0 0.7
sox -R -D "$work/long.wav" "$work/short.wav" "$work/low.wav" "$out/noise.wav"
