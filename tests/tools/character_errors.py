"""The demonstration model's character errors in each precision, on the same spoken sentences.

    character_errors.py --transcribe target/debug/examples/transcribe [--seed 1] [--count 260]

Speaks the sentences with speak_sentences.py. Needs espeak-ng, sox, $ORT_DYLIB_PATH and Python's standard library only.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def distance(spoken, heard):
    row = list(range(len(heard) + 1))
    for i, a in enumerate(spoken, 1):
        row, above = [i], row
        for j, b in enumerate(heard, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--transcribe", required=True, help="the program of examples/transcribe.rs")
    ap.add_argument("--seed", default="1")
    ap.add_argument("--count", default="260")
    a = ap.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speak = [sys.executable, ROOT / "tests/tools/speak_sentences.py", "--model", ROOT / "models/demo"]
        subprocess.run([*speak, "--seed", a.seed, "--count", a.count, folder], check=True)
        lines = (pathlib.Path(folder) / "sentences.jsonl").read_text(encoding="utf-8").splitlines()
        spoken = [json.loads(line) for line in lines]
        wavs = [pathlib.Path(folder) / sentence["wav"] for sentence in spoken]
        characters = sum(len(sentence["text"]) for sentence in spoken)
        for precision in ["int8", "int8-exact", "float32"]:
            command = [a.transcribe, "--json", "--model-path", ROOT / "models/demo", "--precision", precision,
                       "--endpoint-silence", "0", *wavs]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
            texts = ["".join(piece for piece, _ in json.loads(line)["tokens"]) for line in told]
            wrong = sum(distance(sentence["text"], text) for sentence, text in zip(spoken, texts, strict=True))
            print(f"{precision:10} {wrong} of {characters} characters are wrong: {100 * wrong / characters:.2f} %")


if __name__ == "__main__":
    main()
