"""Do the goldens notice a faulty host? Breaks one rule of host_loop.py at a time and looks for goldens that change.

    check_goldens.py    exits with 1 if a fault goes unnoticed in a model's goldens

Looks at the cases that do not repeat their audio, with the tolerance for times that the tests use, and prints for each model and
fault how many of them change, in their ids or in their times alone. `demo` is trained, so it may
shrug a fault off where the random tiny models do not; it is shown and not judged.
"""
import sys

import numpy as np

from host_loop import Host, position
from make_goldens import GOLDENS, audio_of, model_directory, read_lines


class WithoutDecoderCaches(Host):
    def decode(self, enc, enc_len, embeds):
        self.caches = [np.zeros_like(cache) for cache in self.caches]
        return super().decode(enc, enc_len, embeds)


class WithoutLeftContext(Host):
    def encode(self, window, final):
        window = window.copy()
        window[:self.left] = 0
        return super().encode(window, final)


class WithoutLookAhead(Host):
    def encode(self, window, final):
        window = window.copy()
        if not final:
            window[self.left + self.stride:] = 0
        return super().encode(window, final)


class PositionsFromZero(Host):
    def positions(self, count):
        return position(0, count)


class PositionsOfEachChunk(Host):
    def positions(self, count):
        return position(1, self.stride)[np.arange(count) % self.stride]


class WithoutLfrPadding(Host):
    def encoder_input(self, frames):
        return super().encoder_input(frames[3:] if len(frames) > 3 else frames)


class WithoutTail(Host):
    def start(self):
        super().start()
        self.tail = np.float32(0)


class WithoutCifCarry(Host):
    def integrate(self, enc, alphas, first_stack, final):
        self.integral, self.hidden = np.float32(0), np.zeros(self.dim, np.float32)
        return super().integrate(enc, alphas, first_stack, final)


class WithoutHiddenCarry(Host):
    def integrate(self, enc, alphas, first_stack, final):
        self.hidden = np.zeros(self.dim, np.float32)
        return super().integrate(enc, alphas, first_stack, final)


class MaskedFinalCall(Host):
    """The final call counts one stride of alphas and loses what is behind it."""

    def integrate(self, enc, alphas, first_stack, final):
        if final:
            alphas = alphas.copy()
            alphas[self.left + self.stride:] = 0
        return super().integrate(enc, alphas, first_stack, final)


class ShiftedCmvn(Host):
    def start(self):
        super().start()
        if not hasattr(self, "right_shift"):
            self.right_shift, self.shift = self.shift, np.roll(self.shift, 1)


class WithoutModelScale(Host):
    def encoder_input(self, frames):
        x = super().encoder_input(frames)
        pe = self.positions(len(x))
        return ((x - pe) / np.float32(self.dim ** 0.5) + pe).astype(np.float32)


FAULTS = [WithoutDecoderCaches, WithoutLeftContext, WithoutLookAhead, PositionsFromZero, PositionsOfEachChunk,
          WithoutLfrPadding, WithoutTail, WithoutCifCarry, WithoutHiddenCarry, MaskedFinalCall, ShiftedCmvn, WithoutModelScale]


TOLERANCE_MS = 0.2


def late(case, result):
    """Whether a fire time is off by more than rounding explains."""
    return any(abs(a - b) > TOLERANCE_MS for (_, a), (_, b) in zip(case["tokens"], result["tokens"]))


def main():
    cases = [case for case in read_lines(GOLDENS / "host_loop.jsonl") if case["repeat"] == 1]
    missed = False
    for model in dict.fromkeys(case["model"] for case in cases):
        mine = [case for case in cases if case["model"] == model]
        for fault in FAULTS:
            hosts, other_ids, other_times = {}, 0, 0
            for case in mine:
                key = (*case["chunk_size"], case["precision"])
                if key not in hosts:
                    hosts[key] = fault(model_directory(model), case["chunk_size"], case["precision"])
                result = hosts[key].run(audio_of(case))
                if result["calls"] != case["calls"]:
                    other_ids += 1
                elif late(case, result):
                    other_times += 1
            print(f"{model:8} {fault.__name__:22} ids of {other_ids}, times of {other_times} more of {len(mine)} cases", flush=True)
            missed |= model != "demo" and other_ids == 0
    sys.exit(missed)


if __name__ == "__main__":
    main()
