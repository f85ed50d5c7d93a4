"""Character error rates of the offline and the streaming demonstration model on the same sentences.

    evaluate_offline.py SENTENCES ... [--offline models/demo-offline] [--streaming models/demo]

SENTENCES are folders written by tests/tools/speak_sentences.py. The offline model runs in funasr_onnx, the streaming one in
tests/tools/host_loop.py at [5,10,5]; both int8.
"""
import argparse
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/tools"))
import host_loop  # noqa: E402


def edits(wanted, given):
    """Levenshtein distance."""
    row = list(range(len(given) + 1))
    for i, w in enumerate(wanted, 1):
        above, row[0] = row[0], i
        for j, g in enumerate(given, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (w != g))
    return row[-1]


def error_rate(pairs):
    """Of (wanted, given) texts: edits for each wanted character."""
    return sum(edits(w, g) for w, g in pairs) / sum(len(w) for w, _ in pairs)


def read_sentences(folder):
    """(samples, text) of each sentence."""
    for line in (folder / "sentences.jsonl").read_text(encoding="utf-8").splitlines():
        sentence = json.loads(line)
        yield host_loop.read_wav(str(folder / sentence["wav"])), sentence["text"]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("sentences", nargs="+", type=pathlib.Path)
    ap.add_argument("--offline", type=pathlib.Path, default=ROOT / "models/demo-offline")
    ap.add_argument("--streaming", type=pathlib.Path, default=ROOT / "models/demo")
    ap.add_argument("--errors", action="store_true", help="print what the offline model reads wrong")
    a = ap.parse_args()
    from funasr_onnx import Paraformer
    offline = Paraformer(str(a.offline), batch_size=1, quantize=True, intra_op_num_threads=1)
    streaming = host_loop.Host(str(a.streaming), [5, 10, 5])
    for folder in a.sentences:
        first, second = [], []
        for samples, text in read_sentences(folder):
            first.append((text, host_loop.join(piece for piece, _ in streaming.run(samples)["tokens"])))
            result = offline(samples)
            second.append((text, result[0]["preds"].replace(" ", "") if result else ""))
        for wanted, given in second:
            if a.errors and wanted != given:
                print(wanted, given)
        print(f"{folder.name}: {len(first)} sentences, {sum(len(t) for t, _ in first)} characters, "
              f"streaming {error_rate(first):.1%}, offline {error_rate(second):.1%}")


if __name__ == "__main__":
    main()
