"""Character error rates of the offline and the streaming demonstration model, and how exact the offline one's times are.

    evaluate_offline.py SENTENCES ... [--offline models/demo-offline] [--streaming models/demo]

SENTENCES are folders written by tests/tools/speak_sentences.py. The offline model runs in funasr_onnx, the streaming one
in tests/tools/host_loop.py at [5,10,5]; both int8. For the times the first folder's sentences are spoken anew by
espeak-ng's library, which tells when each character begins.
"""
import argparse
import json
import pathlib
import sys

import numpy as np

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


def recognise(model, samples):
    """(text, start of each character in ms) by funasr_onnx.

    Its times assert that there is one fire more than tokens, which two </s> break: there the text is without times.
    """
    try:
        result = model(samples)
    except AssertionError:
        scores, counts = model.infer(*model.extract_feat([samples]))[:2]
        return "".join(model.decode(scores, counts)[0]), []
    return (result[0]["preds"].replace(" ", ""), [start for start, _ in result[0]["timestamp"]]) if result else ("", [])


def time_errors(model, texts):
    """How late in ms each character of the texts that are read right seems to begin."""
    from speech import Speaker
    speaker, errors = Speaker(), []
    for text in texts:
        audio, times = speaker.speak(text, "cmn", 175, 50)
        samples = np.concatenate([np.zeros(3200), audio / 32768, np.zeros(6400)]).astype(np.float32)
        given, starts = recognise(model, samples)
        if given == text:
            errors += [start - (200 + time / 16) for start, time in zip(starts, times)]
    return np.array(errors)


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
            second.append((text, recognise(offline, samples)))
        for wanted, (given, _) in second:
            if a.errors and wanted != given:
                print(wanted, given)
        untimed = sum(not times for _, (_, times) in second)
        second = [(wanted, given) for wanted, (given, _) in second]
        print(f"{folder.name}: {len(first)} sentences, {sum(len(t) for t, _ in first)} characters, "
              f"streaming {error_rate(first):.1%}, offline {error_rate(second):.1%} ({untimed} without times)")
    late = time_errors(offline, [text for _, text in read_sentences(a.sentences[0])])
    print(f"starts of {len(late)} characters: median error {np.median(np.abs(late)):.0f} ms, 95 % within "
          f"{np.percentile(np.abs(late), 95):.0f} ms, {np.mean(late):+.0f} ms on average")


if __name__ == "__main__":
    main()
