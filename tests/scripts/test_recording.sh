#!/usr/bin/env bash
# The bundled recording is what README and demo say: short, 16 kHz, mono, 16 bits, not clipped, in words that the built-in model knows.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
check "examples/recording.wav" python3 - "$root" <<'PYTHON'
import array, json, sys, wave

root = sys.argv[1]
with wave.open(f"{root}/examples/recording.wav") as recording:
    assert recording.getparams()[:3] == (1, 2, 16000), recording.getparams()
    samples = array.array("h", recording.readframes(recording.getnframes()))
assert 15 <= len(samples) / 16000 <= 20, len(samples)
assert 16000 < max(map(abs, samples)) < 16800, "the peak is not half of full scale"
known = set(json.load(open(f"{root}/models/demo/tokens.json", encoding="utf-8")))
unknown = set(open(f"{root}/examples/recording.txt", encoding="utf-8").read().replace("\n", "")) - known
assert not unknown, unknown
PYTHON
finish
