"""What funasr_onnx makes of a file: the second oracle, by another hand than ours.

    funasr_goldens.py MODEL_DIR [--chunk 5,10,5] [--precision int8|float32] a.wav ...  > funasr_onnx.jsonl

Feeds strides of chunk_size[1] * 960 samples with a fresh cache for each file, and prints one JSON line for each:
    {"wav", "chunk_size", "precision", "samples", "pieces": [text of each call, "" where none], "text"}
The last piece is the final call's, which funasr_onnx ends otherwise than we do: it splits the call, drops a rest below
60 ms, and with chunk_size[0] = 0 emits frames twice. It detokenises each call alone. Its CIF sums are float64 (numpy 1),
so a token may fall on the other side of a call's border where a sum is within 1e-6 of 1.
"""
import argparse
import json
import logging
import os
import warnings

warnings.filterwarnings("ignore")
from funasr_onnx.paraformer_online_bin import Paraformer  # noqa: E402  (warns on import)

from host_loop import read_wav  # noqa: E402

SAMPLES_PER_STACK = 960


def transcribe(model, samples):
    """The text of each call. The front end keeps samples of the stream before when its last call was short: reset it."""
    model.frontend.cache_reset()
    stride, state, pieces = model.chunk_size[1] * SAMPLES_PER_STACK, {"cache": {}}, []
    for start in range(0, len(samples), stride):
        state["is_final"] = start + stride >= len(samples)
        result = model(audio_in=samples[start:start + stride], param_dict=state)
        pieces.append(result[0]["preds"][0] if result and result[0].get("preds") else "")
    return pieces


def load(directory, chunk_size, precision):
    logging.disable(logging.CRITICAL)
    return Paraformer(directory, batch_size=1, quantize=precision == "int8", chunk_size=chunk_size, intra_op_num_threads=1)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model_dir")
    ap.add_argument("wavs", nargs="+")
    ap.add_argument("--chunk", default="5,10,5")
    ap.add_argument("--precision", choices=("int8", "float32"), default="int8")
    a = ap.parse_args()
    chunk_size = [int(n) for n in a.chunk.split(",")]
    model = load(a.model_dir, chunk_size, a.precision)
    for path in a.wavs:
        samples = read_wav(path)
        pieces = transcribe(model, samples)
        print(json.dumps(dict(wav=os.path.basename(path), chunk_size=chunk_size, precision=a.precision,
                              samples=len(samples), pieces=pieces, text="".join(pieces)), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
