"""Speak the training sentences of models/demo-offline with espeak-ng, and keep the time of every character.

    speech.py OUT.pkl --sentences 12000 [--exclude sentences.jsonl ...]

The sentences are those of tests/tools/speak_sentences.py (words, phrases and numbers of tests/data/demo_phrases.txt in any
order), and sequences of other words that the model's characters can write (from the dictionary of the jieba package). Voices,
speeds and pitches are those of the streaming model's training. espeak-ng's library reports where each character begins.
Writes a list of (text, 16 kHz int16 samples, samples at which each character begins, and the last one ends).
"""
import argparse
import ctypes
import json
import multiprocessing
import pathlib
import pickle
import random
import sys

import jieba
import numpy as np
import soxr

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/tools"))
from speak_sentences import DIGITS, PHRASES, VARIANTS, draw  # noqa: E402

RATE, FRAME = 16000, 160
SYNCHRONOUS, UTF8, EVENT_END, EVENT_WORD, PARAMETER_RATE, PARAMETER_PITCH = 2, 1, 0, 1, 1, 3


class Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""
    _fields_ = [("type", ctypes.c_int), ("unique", ctypes.c_uint), ("text_position", ctypes.c_int),
                ("length", ctypes.c_int), ("audio_position_ms", ctypes.c_int), ("sample", ctypes.c_int),
                ("user_data", ctypes.c_void_p), ("id", ctypes.c_char * 8)]


class Speaker:
    """espeak-ng's library: one sentence at a time, samples and the sample at which each character begins."""

    def __init__(self):
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate = self.library.espeak_Initialize(SYNCHRONOUS, 0, None, 0)
        self.callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int,
                                         ctypes.POINTER(Event))(self.receive)
        self.library.espeak_SetSynthCallback(self.callback)

    def receive(self, samples, count, events):
        if samples and count:
            self.parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != EVENT_END:
            if events[i].type == EVENT_WORD:
                self.starts[events[i].text_position - 1] = events[i].sample
            i += 1
        return 0

    def speak(self, text, voice, speed, pitch):
        """Samples at 16 kHz without the silence around them, and the starts and the end of the characters.

        espeak-ng reads some words of its dictionary as one: the time is then divided among the characters.
        """
        self.parts, self.starts = [], {}
        self.library.espeak_SetVoiceByName(voice.encode())
        self.library.espeak_SetParameter(PARAMETER_RATE, speed, 0)
        self.library.espeak_SetParameter(PARAMETER_PITCH, pitch, 0)
        encoded = text.encode()
        self.library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, UTF8, None, None)
        audio = soxr.resample(np.concatenate(self.parts).astype(np.float32) / 32768, self.rate, RATE)
        loud = np.flatnonzero(np.abs(audio[:len(audio) // FRAME * FRAME]).reshape(-1, FRAME).max(1) > 0.01)
        first, last = max(0, loud[0] - 8) * FRAME, (loud[-1] + 12) * FRAME
        known = {i: start * RATE // self.rate for i, start in self.starts.items()}
        known.update({0: int(loud[0]) * FRAME, len(text): (int(loud[-1]) + 1) * FRAME})
        times = np.interp(range(len(text) + 1), sorted(known), [known[i] for i in sorted(known)])
        audio = audio[first:last]
        audio = (audio / np.abs(audio).max() * 0.5 * 32767).astype(np.int16)
        return audio, times.astype(np.int32) - first


def words_of(characters, count):
    """The commonest words of two to four characters that `characters` can write."""
    with jieba.get_dict_file() as f:
        entries = [line.decode().split() for line in f]
    known = [(int(e[1]), e[0]) for e in entries if 2 <= len(e[0]) <= 4 and set(e[0]) <= characters]
    return [word for _, word in sorted(known, reverse=True)[:count]]


def sentences(rng, count, characters, excluded):
    """Different sentences, none of them in `excluded`."""
    lines = [line.split() for line in PHRASES.read_text(encoding="utf-8").splitlines()]
    phrases, words = ["".join(line) for line in lines], sorted({w for line in lines for w in line if len(w) > 1})
    others = words_of(characters, 4000)
    single = sorted(characters)
    texts = set(phrases)
    while len(texts) < count:
        kind = rng.random()
        if kind < 0.5:
            text = draw(rng, phrases, words)
        elif kind < 0.55:
            text = "".join(rng.choice(DIGITS + "十百千万点") for _ in range(rng.randint(2, 8)))
        elif kind < 0.65:
            text = "".join(rng.choice(line) for line in rng.sample(lines, rng.randint(2, 5)))
        elif kind < 0.97:
            text = "".join(rng.choice(others) for _ in range(rng.randint(1, 4)))
        else:
            text = "".join(rng.sample(single, rng.randint(1, 4)))
        if text not in excluded:
            texts.add(text)
    return sorted(texts)


def work(task):
    global speaker
    if "speaker" not in globals():
        speaker = Speaker()
    text, *voice = task
    return (text, *speaker.speak(text, *voice))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--sentences", type=int, default=12000)
    ap.add_argument("--exclude", type=pathlib.Path, nargs="*", default=[], help="sentences.jsonl of what is tested")
    ap.add_argument("--jobs", type=int, default=2)
    a = ap.parse_args()
    tokens = json.loads((ROOT / "models/demo/tokens.json").read_text(encoding="utf-8"))
    excluded = {json.loads(line)["text"] for path in a.exclude for line in path.read_text(encoding="utf-8").splitlines()}
    rng = random.Random(1)
    texts = sentences(rng, a.sentences, {t for t in tokens if len(t) == 1}, excluded)
    tasks = [(text, "cmn" + rng.choice(VARIANTS), rng.randint(130, 220), rng.randint(30, 70)) for text in texts]
    with multiprocessing.Pool(a.jobs) as pool:
        spoken = list(pool.imap(work, tasks, 50))
    with a.out.open("wb") as f:
        pickle.dump(spoken, f)
    hours = sum(len(audio) for _, audio, _ in spoken) / RATE / 3600
    print(f"{len(spoken)} sentences, {hours:.1f} hours")


if __name__ == "__main__":
    main()
