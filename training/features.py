"""The model's features for training: random utterances out of spoken sentences, fbank, LFR and CMVN of a whole utterance."""
import json
import pathlib
import random
import sys

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/tools"))
from host_loop import lfr  # noqa: E402

RATE = 16000
WINDOW, HOP, FFT, BINS = 400, 160, 512, 80


def mel_filters():
    """Kaldi's triangles: 80 bins between 20 Hz and 8 kHz, linear in mel."""
    mel = lambda hz: 1127 * np.log(1 + hz / 700)
    edges = np.linspace(mel(20.0), mel(RATE / 2), BINS + 2)
    bins = mel(np.arange(FFT // 2) * RATE / FFT)
    rise = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


HAMMING = torch.hamming_window(WINDOW, periodic=False)
MELS = torch.from_numpy(mel_filters().T)


def fbank(samples):
    """host_loop.fbank to 1e-3, and several times as fast."""
    frames = torch.from_numpy(samples.astype(np.float32)).unfold(0, WINDOW, HOP) * 32768
    frames = frames - frames.mean(1, keepdim=True)
    frames = torch.cat([frames[:, :1] * (1 - 0.97), frames[:, 1:] - 0.97 * frames[:, :-1]], 1)
    power = torch.fft.rfft(frames * HAMMING, FFT)[:, :FFT // 2].abs() ** 2
    return (power @ MELS).clamp(min=torch.finfo(torch.float32).eps).log().numpy()


def silence(low, high):
    return np.zeros(int(random.uniform(low, high) * RATE), np.float32)


def stretched(audio, times):
    """Faster or slower by up to a tenth."""
    rate = random.uniform(0.9, 1.12)
    count = int(len(audio) / rate)
    return np.interp(np.arange(count) * rate, np.arange(len(audio)), audio).astype(np.float32), times / rate


def echoed(audio):
    """As in a room: with a decaying tail of random reflections."""
    length = int(random.uniform(0.03, 0.2) * RATE)
    tail = torch.randn(length) * torch.exp(-5 * torch.arange(length) / length) * random.uniform(0.02, 0.12)
    tail[0] = 1
    size = 1 << (len(audio) + length).bit_length()
    spectrum = torch.fft.rfft(torch.from_numpy(audio), size) * torch.fft.rfft(tail, size)
    return torch.fft.irfft(spectrum, size)[:len(audio)].numpy()


def utterance(sentences):
    """(text, samples, the characters' (start, end) in seconds): one or two sentences with pauses, changed at random."""
    parts, spans, text = [silence(0.0, 0.5)], [], ""
    for words, audio, times in random.choices(sentences, k=random.choice([1, 1, 1, 1, 2])):
        audio, times = stretched(audio.astype(np.float32) / 32768, times)
        times = (times + sum(map(len, parts))) / RATE
        spans += zip(times[:-1], times[1:])
        parts += [audio * 10 ** (random.uniform(-12, 4) / 20), silence(0.0, 0.6)]
        text += words
    if random.random() < 0.3:
        parts.append(silence(0.0, 0.8))
    audio = np.concatenate(parts).astype(np.float32)
    if random.random() < 0.15:
        audio = echoed(audio)
    if random.random() < 0.65:  # else digital silence in the pauses
        audio = audio + torch.randn(len(audio)).numpy() * np.float32(10 ** (random.uniform(-90, -40) / 20))
    return text, np.clip(audio, -1, 1), np.array(spans)


def read_cmvn(model):
    from host_loop import read_cmvn
    return read_cmvn(model / "am.mvn")


def features(samples, cmvn):
    shift, scale = cmvn
    return ((lfr(fbank(samples)) + shift) * scale).astype(np.float32)


def disturbed(x, scale):
    """As by another microphone (a gentle slope over the spectrum); without a band of frequencies; without a few frames."""
    x = x.reshape(-1, 7, BINS).copy()
    if random.random() < 0.4:
        knots = [random.uniform(-1.8, 1.8) for _ in range(5)]
        x += (np.interp(np.linspace(0, 4, BINS), range(5), knots) * scale[:BINS]).astype(np.float32)
    if random.random() < 0.5:
        width = random.randint(0, 20)
        low = random.randint(0, BINS - width)
        x[:, :, low:low + width] = 0
    if random.random() < 0.4:
        width = random.randint(1, 4)
        first = random.randint(0, max(0, len(x) - width))
        x[first:first + width] = 0
    return x.reshape(-1, 7 * BINS)


def read_tokens(model):
    return json.loads((model / "tokens.json").read_text(encoding="utf-8"))
