"""A plain, slow streaming Paraformer host: the oracle that the Rust engine is held against, token for token.

    host_loop.py MODEL_DIR [--chunk 5,10,5] [--precision int8|float32] a.wav ...  > oracle.jsonl

It computes the fbank of a whole file at once and then walks over it chunk by chunk, so it shares no code and no
bookkeeping with an engine that is fed buffers. Unlike funasr_onnx (funasr_goldens.py) a stream ends with one pass over
all that is left, with the CIF tail; nothing is dropped, and every token has a time. Prints one JSON line for each file:
    {"wav", "chunk_size", "precision", "samples", "calls": [[token ids of each encoder call], ...],
     "tokens": [[piece, fire time in ms], ...], "cif_margin", "logit_margin", "text"}
"calls" holds every id, "tokens" leaves the special ones out. "text" joins the pieces and closes `@@`; it serves Chinese
and whole words and is no full detokeniser.
"""
import argparse
import json
import math
import os
import re

import kaldi_native_fbank as knf
import numpy as np
import onnxruntime as ort
import soundfile as sf
import yaml

SPECIAL = {"<blank>", "<s>", "</s>", "<unk>"}
SAMPLES_PER_MS = 16
LFR_STACK, LFR_HOP = 7, 6


def read_cmvn(path):
    """The shifts (negative means) and scales (inverse deviations) of an am.mvn."""
    rows = {}
    lines = open(path, encoding="utf-8").read().split("\n")
    for tag, row in zip(lines, lines[1:]):
        name = tag.split(" ")[0]
        if name in ("<AddShift>", "<Rescale>"):
            rows[name] = np.array(row.split()[3:-1], np.float32)
    return rows["<AddShift>"], rows["<Rescale>"]


def fbank(samples):
    """Log-mel frames, 80 bins, 25 ms every 10 ms, as Kaldi: no dither, since a random feature is no oracle."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = 16000
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = "hamming"
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = 80
    options.energy_floor = 0
    extractor = knf.OnlineFbank(options)
    extractor.accept_waveform(16000, (samples * 32768.0).tolist())
    extractor.input_finished()
    frames = [extractor.get_frame(i) for i in range(extractor.num_frames_ready)]
    return np.array(frames, np.float32).reshape(-1, 80)


def lfr(frames):
    """All stacks of a whole stream: ceil(frames / 6); the left is padded with the first frame, the right with the last."""
    if not len(frames):
        return np.zeros((0, 80 * LFR_STACK), np.float32)
    padded = np.concatenate([np.repeat(frames[:1], LFR_STACK // 2, 0), frames])
    count = math.ceil(len(frames) / LFR_HOP)
    short = max(0, (count - 1) * LFR_HOP + LFR_STACK - len(padded))
    padded = np.concatenate([padded, np.repeat(padded[-1:], short, 0)])
    return np.stack([padded[i * LFR_HOP:i * LFR_HOP + LFR_STACK].reshape(-1) for i in range(count)])


def stacks_before_end(frame_count):
    """How many stacks a stream yields before its end is known: those that need no padding on the right."""
    return max(0, (frame_count + LFR_STACK // 2 - LFR_STACK) // LFR_HOP + 1) if frame_count else 0


def position(first, count, dim=560):
    """Sinusoidal positions first..first+count, sines in the first half and cosines in the second."""
    p = np.arange(first, first + count, dtype=np.float64)[:, None]
    w = np.exp(-np.arange(dim // 2) * math.log(10000) / (dim // 2 - 1))[None]
    return np.concatenate([np.sin(p * w), np.cos(p * w)], 1).astype(np.float32)


class Host:
    """One model at one chunk size. Each rule of the algorithm is a method, so that check_goldens.py can break it."""

    def __init__(self, directory, chunk_size, precision="int8"):
        self.encoder, self.decoder = self.load_graphs(directory, precision)
        with open(os.path.join(directory, "config.yaml"), encoding="utf-8") as f:
            config = yaml.safe_load(f)
        with open(os.path.join(directory, "tokens.json"), encoding="utf-8") as f:
            self.pieces = json.load(f)
        self.shift, self.scale = read_cmvn(os.path.join(directory, "am.mvn"))
        self.dim = config["encoder_conf"]["output_size"]
        self.blocks = config["decoder_conf"]["num_blocks"]
        self.order = config["decoder_conf"]["kernel_size"] - 1
        self.threshold = np.float32(config["predictor_conf"]["threshold"])
        self.tail = np.float32(config["predictor_conf"]["tail_threshold"])
        self.left, self.stride, self.ahead = chunk_size

    def load_graphs(self, directory, precision):
        suffix = {"int8": "_quant", "float32": ""}[precision]
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        return [ort.InferenceSession(os.path.join(directory, f"{name}{suffix}.onnx"), options) for name in ("model", "decoder")]

    def run(self, samples):
        """One stream: {"calls", "tokens", "cif_margin", "logit_margin"}; a margin is None where nothing was compared.

        cif_margin is the smallest distance of a CIF sum from the threshold, logit_margin the smallest distance of the
        best logit from the second: what is far below 1 there may differ in another implementation without a fault.
        """
        self.start()
        frames = self.frames(samples)
        stacks = self.encoder_input(frames)
        early = stacks_before_end(len(frames))
        end_ms = len(samples) / SAMPLES_PER_MS
        overlap = self.left + self.ahead
        cached = np.zeros((overlap, stacks.shape[1]), np.float32)
        calls, tokens, done, final = [], [], 0, len(stacks) == 0
        while not final:
            # A normal call runs as soon as a stride of stacks is there; the last stack or none comes only at the end.
            final = early - done < self.stride and len(stacks) - done <= self.stride
            new = stacks[done:] if final else stacks[done:done + self.stride]
            window = np.concatenate([cached, new])
            enc, enc_len, alphas = self.encode(window, final)
            embeds, times = self.integrate(enc[0], alphas[0], done - overlap, final)
            ids = self.decode(enc, enc_len, embeds) if embeds else []
            calls.append(ids)
            tokens += [[self.pieces[i], round(min(max(end_ms if t is None else t, 0.0), end_ms), 2)]
                       for i, t in zip(ids, times) if self.pieces[i] not in SPECIAL]
            cached = window[len(window) - overlap:]
            done += len(new)
        return dict(calls=calls, tokens=tokens, cif_margin=self.cif_margin, logit_margin=self.logit_margin)

    def start(self):
        """The state of a new stream."""
        self.integral, self.hidden = np.float32(0), np.zeros(self.dim, np.float32)
        self.caches = [np.zeros((1, self.dim, self.order), np.float32) for _ in range(self.blocks)]
        self.cif_margin = self.logit_margin = None

    def frames(self, samples):
        return fbank(samples)

    def encoder_input(self, frames):
        """CMVN, scale and positions; the first stack of a stream has position 1."""
        x = (lfr(frames) + self.shift) * self.scale * np.float32(self.dim ** 0.5)
        return (x + self.positions(len(x))).astype(np.float32)

    def positions(self, count):
        return position(1, count)

    def encode(self, window, final):
        feed = {"speech": window[None], "speech_lengths": np.array([len(window)], np.int32)}
        return self.encoder.run(None, feed)

    def integrate(self, enc, alphas, first_stack, final):
        """CIF over one call: the embeddings that fired and their times in ms (None: the tail, at the end of the audio).

        Only alphas of the current stride count, in the final call all but the left context's. `first_stack` is the
        number, over the whole stream, of the stack in the window's first row.
        """
        stop = len(enc) if final else self.left + self.stride
        rows = [(alphas[i], enc[i], first_stack + i) for i in range(self.left, min(stop, len(enc)))]
        if final:
            rows.append((self.tail, np.zeros(self.dim, np.float32), None))
        embeds, times = [], []
        for alpha, h, stack in rows:
            total = np.float32(self.integral + alpha)
            self.cif_margin = smaller(self.cif_margin, abs(float(total) - float(self.threshold)))
            if total < self.threshold:
                self.integral = total
                self.hidden = self.hidden + alpha * h
            else:
                rest = np.float32(self.threshold - self.integral)
                embeds.append(self.hidden + rest * h)
                times.append(None if stack is None else 60 * (stack + float(rest) / float(alpha) - 0.5) + 12.5)
                self.integral = np.float32(total - self.threshold)
                self.hidden = self.integral * h
        return embeds, times

    def decode(self, enc, enc_len, embeds):
        feed = {"enc": enc, "enc_len": enc_len.astype(np.int32),
                "acoustic_embeds": np.stack(embeds)[None].astype(np.float32),
                "acoustic_embeds_len": np.array([len(embeds)], np.int32)}
        feed.update({f"in_cache_{i}": cache for i, cache in enumerate(self.caches)})
        logits, _, *self.caches = self.decoder.run(None, feed)
        best = np.sort(logits[0], axis=-1)[:, -2:]
        self.logit_margin = smaller(self.logit_margin, float((best[:, 1] - best[:, 0]).min()))
        return [int(i) for i in logits[0].argmax(-1)]


def smaller(known, value):
    return value if known is None else min(known, value)


def join(pieces):
    """The pieces as text: `@@` closed, a space between two Latin words."""
    text, previous = "", ""
    for piece in pieces:
        word = piece.removesuffix("@@")
        if re.match(r"[A-Za-z']", word) and re.match(r"[A-Za-z']", previous) and not previous.endswith("@@"):
            text += " "
        text += word
        previous = piece
    return text


def read_wav(path):
    """The samples of a 16 kHz mono file, in [-1, 1)."""
    samples, rate = sf.read(path, dtype="float32")
    if rate != 16000 or samples.ndim != 1:
        raise ValueError(f"{path}: 16 kHz mono expected")
    return samples


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model_dir")
    ap.add_argument("wavs", nargs="+")
    ap.add_argument("--chunk", default="5,10,5")
    ap.add_argument("--precision", choices=("int8", "float32"), default="int8")
    a = ap.parse_args()
    chunk_size = [int(n) for n in a.chunk.split(",")]
    host = Host(a.model_dir, chunk_size, a.precision)
    for path in a.wavs:
        samples = read_wav(path)
        result = host.run(samples)
        print(json.dumps(dict(wav=os.path.basename(path), chunk_size=chunk_size, precision=a.precision,
                              samples=len(samples), **result, text=join(piece for piece, _ in result["tokens"])),
                         ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
