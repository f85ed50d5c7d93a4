"""Remake the test data: models, recordings and goldens in tests/data.

    make_goldens.py [STEP ...] [--recordings DIR [--detector DIR]]

Steps, all of them if none is named, in this order:
    audio      audio/speech.wav, noise.wav and sentences/ (espeak-ng and sox)
    models     models/tiny-*, legacy-1 (make_model.py; needs an environment made with --train)
    host-loop  goldens/host_loop.jsonl and sentences.jsonl, by host_loop.py
    funasr     goldens/funasr_onnx.jsonl, by funasr_onnx, compared with host_loop.jsonl
    vad        models/vad-tiny and goldens/vad.jsonl, by funasr_onnx (make_vad.py)
    recordings goldens/shared_speech.jsonl, for the recordings in DIR; they stay outside the repository and the goldens name
               them by file name and sha256. Left out without --recordings. With --detector, the folder of the published
               FSMN-VAD, also its lines of goldens/vad.jsonl
"""
import argparse
import hashlib
import itertools
import json
import logging
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import yaml

from host_loop import Host, read_wav

TOOLS = pathlib.Path(__file__).resolve().parent
ROOT = TOOLS.parent.parent
DATA = ROOT / "tests" / "data"
AUDIO, MODELS, GOLDENS = DATA / "audio", DATA / "models", DATA / "goldens"

SEEDS = {"tiny-1": 5, "tiny-2": 1, "tiny-3": 2}
GRAPHS = {"int8": ["model_quant.onnx", "decoder_quant.onnx"], "float32": ["model.onnx", "decoder.onnx"]}
CHUNK_SIZES = [[5, 10, 5], [8, 8, 4], [0, 10, 5], [0, 8, 4], [6, 6, 4], [10, 10, 6]]
# Around one fbank frame, one stack, one stride of [5,10,5], and one frame more.
LENGTHS = [0, 399, 400, 879, 880, 959, 960, 1360, 9519, 9520, 9600, 9601, 10560]
SILENCE_SAMPLES = 3 * 16000
LONG_SAMPLES = 150 * 16000
RECORDINGS = {"asr_example.wav": None, "vad_example.wav": 30 * 16000}
SENTENCES = ["--seed", "1", "--count", "12"]


def model_directory(model):
    return str(ROOT / "models" / "demo" if model == "demo" else MODELS / model)


def precisions(model):
    return [name for name, files in GRAPHS.items() if (pathlib.Path(model_directory(model)) / files[0]).exists()]


def audio_of(case, directory=AUDIO):
    """The samples of a golden: the recording, repeated, then cut; zeros for "silence"."""
    if case["audio"] == "silence":
        return np.zeros(case["samples"], np.float32)
    return np.tile(read_wav(directory / case["audio"]), case["repeat"])[:case["samples"]]


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def remake_audio():
    subprocess.run([TOOLS / "make_audio.sh", AUDIO], check=True)
    shutil.rmtree(AUDIO / "sentences", ignore_errors=True)
    subprocess.run([sys.executable, TOOLS / "speak_sentences.py", "--model", model_directory("demo"), *SENTENCES,
                    AUDIO / "sentences"], check=True)


def remake_models():
    from make_model import make

    logging.disable(logging.INFO)  # the quantiser tells of every tensor
    layout = ["config.yaml", "am.mvn", "tokens.json", *GRAPHS["int8"]]
    kept = {"tiny-1": [*layout, *GRAPHS["float32"], "tokens.txt"], "tiny-2": layout, "tiny-3": layout}
    for model, seed in SEEDS.items():
        with tempfile.TemporaryDirectory() as made:
            made = pathlib.Path(made)
            make(str(made), "tiny", seed, [AUDIO / "speech.wav", AUDIO / "noise.wav"], sherpa=True)
            copy_files(made, MODELS / model, kept[model])
            if model == "tiny-1":
                copy_files(made, MODELS / "tiny-1-sherpa", ["encoder.int8.onnx", "decoder.int8.onnx", "tokens.txt"])
    make_legacy(MODELS / "tiny-1", MODELS / "legacy-1")


def copy_files(source, target, names):
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in names:
        shutil.copy(source / name, target / name)


def make_legacy(model, out):
    """The text files of FunASR's first layout: the vocabulary in config.yaml, as plain scalars, and no dither."""
    config = yaml.safe_load((model / "config.yaml").read_text(encoding="utf-8"))
    del config["frontend_conf"]["dither"]
    tokens = json.loads((model / "tokens.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False) + "token_list:\n"
                                     + "".join(f"- {token}\n" for token in tokens), encoding="utf-8")
    (out / "tokens-no-ids.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    shutil.copy(model / "am.mvn", out / "am.mvn")
    (out / "README.md").write_text(LEGACY_README, encoding="utf-8")


LEGACY_README = """# legacy-1: FunASR's first layout

The model tiny-1 as FunASR exported models before tokens.json: `config.yaml` holds the vocabulary as `token_list:`, in plain
scalars, so that a YAML 1.1 reader takes `no`, `on`, `null`, `0` or `-` for something else than text; `frontend_conf` has no
`dither`. `tokens-no-ids.txt` is the same vocabulary as the `tokens.txt` beside such models: one token a line, no ids.

The graphs are tiny-1's. To save space they are not here: a test copies `model_quant.onnx` and `decoder_quant.onnx` from
`../tiny-1` into a temporary directory beside these files.
"""


def cases():
    """Every case of host_loop.jsonl, without its result."""
    speech, noise = len(read_wav(AUDIO / "speech.wav")), len(read_wav(AUDIO / "noise.wav"))
    for model in [*SEEDS, "demo"]:
        for precision in precisions(model):
            for chunk_size in CHUNK_SIZES:
                audios = [("speech.wav", speech, 1), ("noise.wav", noise, 1), ("silence", SILENCE_SAMPLES, 1)]
                if model in ("tiny-1", "demo") and chunk_size in CHUNK_SIZES[:3]:
                    audios += [("speech.wav", samples, 1) for samples in LENGTHS]
                if model in ("tiny-1", "demo") and chunk_size in CHUNK_SIZES[:2]:
                    audios += [("speech.wav", LONG_SAMPLES, -(-LONG_SAMPLES // speech))]
                for audio, samples, repeat in audios:
                    yield dict(model=model, precision=precision, chunk_size=chunk_size, audio=audio, samples=samples,
                               repeat=repeat)


def remake_host_loop():
    lines, hosts, distinct = [], {}, {}
    for case in cases():
        key = (case["model"], case["precision"], tuple(case["chunk_size"]))
        if key not in hosts:
            hosts = {key: Host(model_directory(case["model"]), case["chunk_size"], case["precision"])}
        lines.append(dict(case, **hosts[key].run(audio_of(case))))
        distinct.setdefault(key, set()).update(i for call in lines[-1]["calls"] for i in call)
    for key, ids in distinct.items():
        print(*key, "distinct tokens:", len(ids))
    write_lines(GOLDENS / "host_loop.jsonl", lines)

    host = Host(model_directory("demo"), [5, 10, 5])
    lines = []
    for sentence in read_lines(AUDIO / "sentences" / "sentences.jsonl"):
        case = dict(model="demo", precision="int8", chunk_size=[5, 10, 5], audio="sentences/" + sentence["wav"], repeat=1,
                    samples=len(read_wav(AUDIO / "sentences" / sentence["wav"])))
        lines.append(dict(case, text=sentence["text"], **host.run(audio_of(case))))
    write_lines(GOLDENS / "sentences.jsonl", lines)


def remake_recordings(directory):
    lines = []
    for name, samples in RECORDINGS.items():
        sha256 = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        for model, precision in itertools.product(("demo", "tiny-1"), GRAPHS):
            case = dict(model=model, precision=precision, chunk_size=[5, 10, 5], audio=name, sha256=sha256, repeat=1,
                        samples=samples or len(read_wav(directory / name)))
            host = Host(model_directory(model), case["chunk_size"], precision)
            lines.append(dict(case, **host.run(audio_of(case, directory))))
    write_lines(GOLDENS / "shared_speech.jsonl", lines)


def remake_funasr():
    import funasr_goldens
    from funasr_onnx.utils.postprocess_utils import sentence_postprocess

    def text_of(ids, pieces):
        """A call's text as funasr_onnx makes it: each call alone."""
        return sentence_postprocess([pieces[i] for i in ids if i not in (0, 2)])[0] if ids else ""

    lines, keys = [], ("model", "precision", "chunk_size", "audio", "samples", "repeat")
    speech = len(read_wav(AUDIO / "speech.wav"))
    for ours in read_lines(GOLDENS / "host_loop.jsonl"):
        full = ours["audio"] == "noise.wav" or (ours["audio"] == "speech.wav" and ours["samples"] == speech)
        if ours["model"] == "tiny-3" or not full:
            continue
        model = funasr_goldens.load(model_directory(ours["model"]), ours["chunk_size"], ours["precision"])
        pieces = funasr_goldens.transcribe(model, audio_of(ours))
        with open(pathlib.Path(model_directory(ours["model"])) / "tokens.json", encoding="utf-8") as f:
            vocabulary = json.load(f)
        expected = [text_of(ids, vocabulary) for ids in ours["calls"]]
        differs = [i for i, (a, b) in enumerate(zip(pieces[:-1], expected)) if a != b]
        if ours["chunk_size"][0] == 0:
            pieces[-1] = None
        for i in differs:
            print({key: ours[key] for key in keys}, "call", i, "funasr_onnx:", pieces[i], "host_loop:", expected[i])
        lines.append({**{key: ours[key] for key in keys}, "pieces": pieces, "differs": differs,
                      "last_differs": pieces[-1] != expected[-1] if pieces[-1] is not None else None})
    write_lines(GOLDENS / "funasr_onnx.jsonl", lines)
    print(len(lines), "lines of funasr_onnx;", sum(len(line["pieces"]) - 1 for line in lines), "calls compared,",
          sum(len(line["differs"]) for line in lines), "differ")


def remake_vad():
    """The detector for the tests and its segments."""
    import make_vad

    make_vad.make(MODELS / "vad-tiny", 0)
    wavs = [ROOT / "examples/recording.wav", AUDIO / "speech.wav", AUDIO / "noise.wav", AUDIO / "sentences/000.wav"]
    write_lines(GOLDENS / "vad.jsonl", make_vad.goldens(MODELS / "vad-tiny", wavs))


def remake_published_vad(detector, directory):
    """The segments that the published detector finds in the recordings, after those of our own."""
    import make_vad

    lines = [line for line in read_lines(GOLDENS / "vad.jsonl") if line["model"] == "vad-tiny"]
    write_lines(GOLDENS / "vad.jsonl", lines + make_vad.goldens(detector, [directory / name for name in RECORDINGS]))


def main():
    steps = {"audio": remake_audio, "models": remake_models, "host-loop": remake_host_loop, "funasr": remake_funasr,
             "vad": remake_vad}
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("steps", nargs="*", metavar="STEP")
    ap.add_argument("--recordings", type=pathlib.Path)
    ap.add_argument("--detector", type=pathlib.Path)
    a = ap.parse_args()
    if unknown := set(a.steps) - {*steps, "recordings"}:
        ap.error(f"no such step: {', '.join(unknown)}")
    for name, step in steps.items():
        if not a.steps or name in a.steps:
            step()
    if a.recordings and (not a.steps or "recordings" in a.steps):
        remake_recordings(a.recordings)
        if a.detector:
            remake_published_vad(a.detector, a.recordings)


if __name__ == "__main__":
    main()
