"""Speak random sentences that the demonstration model should know, to measure its character error rate.

    speak_sentences.py --model models/demo --seed 1 --count 20 OUT_DIR

Writes OUT_DIR/000.wav ... (16 kHz mono s16) and OUT_DIR/sentences.jsonl {"wav", "text"}. The same seed gives the same files.
The sentences are made of what the model was trained on, the words and phrases of tests/data/demo_phrases.txt (a phrase a
line, its words apart) and digits, in other orders: none is a phrase of the training. Voices, speeds, pitches and level are
the training's, with 200 ms of silence before and 400 ms after, as in the figures of the model's card. Needs espeak-ng, sox
and Python's standard library only: tests/run.sh runs it with the system's python3.
"""
import argparse
import array
import json
import pathlib
import random
import subprocess
import sys
import tempfile

PHRASES = pathlib.Path(__file__).resolve().parent.parent / "data" / "demo_phrases.txt"
DIGITS = "零一二三四五六七八九"
VARIANTS = ["", *(f"+f{i}" for i in range(1, 6)), *(f"+m{i}" for i in range(1, 8))]
RATE = 16000
FRAME = RATE // 100
SILENCE_BEFORE, SILENCE_AFTER = RATE // 5, RATE * 2 // 5


def draw(rng, phrases, words):
    """A sentence: words in any order, two phrases, or a number, alone or behind a phrase."""
    number = "".join(rng.choice(DIGITS) for _ in range(rng.randint(3, 6)))
    kind = rng.random()
    if kind < 0.6:
        return "".join(rng.sample(words, rng.randint(2, 4)))
    if kind < 0.8:
        return "".join(rng.sample(phrases, 2))
    return rng.choice(["", rng.choice(phrases)]) + number


def speak(text, voice, work):
    """espeak-ng's samples at 16 kHz, a bit softer so that resampling cannot clip, without the silence around them."""
    raw, wav = work / "speech.raw", work / "speech.wav"
    subprocess.run(["espeak-ng", *voice, "-w", wav, text], check=True)
    subprocess.run(["sox", "-R", "-D", "-v", "0.8", wav, "-r", str(RATE), "-b", "16", "-e", "signed", "-t", "raw", raw], check=True)
    samples = array.array("h", raw.read_bytes())
    if sys.byteorder == "big":
        samples.byteswap()
    loud = [i for i in range(0, len(samples), FRAME) if max(map(abs, samples[i:i + FRAME])) > 0.008 * 32768]
    return samples[max(0, loud[0] - 8 * FRAME):loud[-1] + 12 * FRAME]


def write_wav(path, samples):
    """With silence around the speech, and its peak at one half, as in the training."""
    gain = 0.5 * 32767 / max(map(abs, samples))
    scaled = array.array("h", [0] * SILENCE_BEFORE + [int(s * gain) for s in samples] + [0] * SILENCE_AFTER)
    if sys.byteorder == "big":
        scaled.byteswap()
    subprocess.run(["sox", "-D", "-t", "raw", "-r", str(RATE), "-b", "16", "-e", "signed", "-c", "1", "-L", "-", path],
                   input=scaled.tobytes(), check=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=pathlib.Path, required=True, help="its tokens.json must hold every character spoken")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=20)
    ap.add_argument("out", type=pathlib.Path)
    a = ap.parse_args()
    vocabulary = set(json.loads((a.model / "tokens.json").read_text(encoding="utf-8")))
    lines = [line.split() for line in PHRASES.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if set("".join(line)) <= vocabulary]
    phrases, words = ["".join(line) for line in lines], sorted({word for line in lines for word in line if len(word) > 1})
    a.out.mkdir(parents=True, exist_ok=True)
    rng, drawn = random.Random(a.seed), []
    with tempfile.TemporaryDirectory() as work:
        while len(drawn) < a.count:
            text = draw(rng, phrases, words)
            voice = ["-v", "cmn" + rng.choice(VARIANTS), "-s", str(rng.randint(130, 220)), "-p", str(rng.randint(30, 70))]
            if text in phrases or any(text == known["text"] for known in drawn):
                continue
            name = f"{len(drawn):03}.wav"
            write_wav(a.out / name, speak(text, voice, pathlib.Path(work)))
            drawn.append(dict(wav=name, text=text))
    with open(a.out / "sentences.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(sentence, ensure_ascii=False) + "\n" for sentence in drawn)


if __name__ == "__main__":
    main()
