"""Train models/demo-punctuation: FunASR's streaming CT-Transformer, which puts ，。？、 into the demonstration's text.

    train_punctuation.py models/demo-punctuation

Trains on random paragraphs of texts.py with the attention masks that funasr_onnx's CT_Transformer_VadRealtime makes, exports,
and measures the exported model on paragraphs whose neighbouring clauses the training never saw together.
"""
import argparse
import math
import pathlib
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F

import export
import features
import texts

DIM = 64
MARKS = ["<unk>", "_", "，", "。", "？", "、"]
NONE = MARKS.index("_")


def config():
    """The published vad_realtime configuration at a small size."""
    return dict(
        model="CTTransformerStreaming",
        model_conf=dict(ignore_id=0, embed_unit=DIM, att_unit=DIM, dropout_rate=0.1, punc_list=MARKS,
                        punc_weight=[1.0] * len(MARKS), sentence_end_id=MARKS.index("。")),
        encoder="SANMVadEncoder",
        encoder_conf=dict(input_size=DIM, output_size=DIM, attention_heads=4, linear_units=4 * DIM, num_blocks=3,
                          dropout_rate=0.1, positional_dropout_rate=0.1, attention_dropout_rate=0.0, input_layer="pe",
                          pos_enc_class="SinusoidalPositionEncoder", normalize_before=True, kernel_size=11, sanm_shfit=5,
                          selfattention_layer_type="sanm", padding_idx=0),
        tokenizer="CharTokenizer", tokenizer_conf=dict(unk_symbol="<unk>"))


def labelled(text):
    """The characters of a punctuated text, and the class of the mark after each."""
    characters, classes = [], []
    for c in text:
        if c in MARKS:
            classes[-1] = MARKS.index(c)
        else:
            characters.append(c)
            classes.append(NONE)
    return characters, classes


def example(rng, draw, ids):
    """(ids, classes, how many words count as cached): at times cut short, at times with a misheard character."""
    many = rng.randint(7, 16) if rng.random() < 0.06 else rng.randint(1, 5)
    characters, classes = labelled(texts.paragraph(rng, draw, many))
    if rng.random() < 0.35:
        length = rng.randint(1, len(characters))
        characters, classes = characters[:length], classes[:length]
    x = [rng.randrange(len(ids)) if rng.random() < 0.01 else ids[c] for c in characters]
    borders = [i + 1 for i, c in enumerate(classes[:-1]) if c != NONE]
    cached = 0
    if rng.random() < 0.5:
        cached = rng.choice(borders) if borders and rng.random() < 0.7 else rng.randrange(len(x))
    return x, classes, cached


def batches(rng, draw, ids, size):
    """Endless batches of examples of about the same length."""
    while True:
        drawn = sorted((example(rng, draw, ids) for _ in range(8 * size)), key=lambda e: len(e[0]))
        for start in rng.sample(range(0, 8 * size, size), 8):
            yield batch_of(drawn[start:start + size])


def batch_of(drawn):
    """(ids, lengths, masks, classes): int64 [B, N], int32 [B], f32 [B, 1, N, N], int64 [B, N] with -1 for none."""
    size = len(drawn)
    longest = max(len(x) for x, _, _ in drawn)
    x, y, masks = np.zeros((size, longest), np.int64), np.full((size, longest), -1), np.ones((size, 1, longest, longest))
    for row, (words, classes, cached) in enumerate(drawn):
        x[row, :len(words)], y[row, :len(words)] = words, classes
        masks[row, :, :, len(words):] = 0
        if cached:
            # funasr_onnx: the cached words but the last do not see the new ones.
            masks[row, :, :cached - 1, cached:] = 0
    lengths = torch.tensor([len(words) for words, _, _ in drawn], dtype=torch.int32)
    return torch.from_numpy(x), lengths, torch.from_numpy(masks).float(), torch.from_numpy(y)


def evaluate(directory, draw, count=500, quantize=True):
    """F1 of each mark in test paragraphs, each given to funasr_onnx clause by clause, as utterances come."""
    from funasr_onnx import CT_Transformer_VadRealtime
    model = CT_Transformer_VadRealtime(str(directory), quantize=quantize, intra_op_num_threads=1)
    rng, scores = random.Random(99), {m: [0, 0, 0] for m in MARKS[2:]}
    for _ in range(count):
        wanted = texts.paragraph(rng, draw, rng.randint(2, 8), test=True)
        pieces, cache, given = [], {"cache": []}, ""
        for clause in wanted.translate(str.maketrans(dict.fromkeys("，。？", "|"))).replace("、", "").split("|"):
            if pieces and rng.random() < 0.4:
                pieces[-1] += clause
            elif clause:
                pieces.append(clause)
        for piece in pieces:
            given += model(piece, param_dict=cache)[0]
        # The class drops the mark at a text's end, so the last position says nothing.
        (characters, truth), (same, guess) = labelled(wanted), labelled(given)
        assert same == characters, (same, characters)
        for t, g in list(zip(truth, guess))[:-1]:
            for mark in scores:
                scores[mark][0] += MARKS[t] == mark == MARKS[g]
                scores[mark][1] += MARKS[g] == mark
                scores[mark][2] += MARKS[t] == mark
    for mark, (right, given, wanted) in scores.items():
        print(f"{mark} precision {right / max(given, 1):.3f} recall {right / max(wanted, 1):.3f} "
              f"F1 {2 * right / max(given + wanted, 1):.3f} of {wanted}")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--steps", type=int, default=2000)
    ap.add_argument("--batch", type=int, default=32)
    ap.add_argument("--evaluate", action="store_true", help="measure the model in OUT and end")
    a = ap.parse_args()
    known = [t for t in features.read_tokens(features.ROOT / "models/demo") if len(t) == 1]
    tokens = [*known, *(c for c in texts.MORE_CHARACTERS if c not in known), "<unk>"]
    ids, draw = {t: i for i, t in enumerate(tokens)}, texts.clauses(set(tokens))
    if not a.evaluate:
        rng = random.Random(0)
        torch.manual_seed(0)
        conf = config()
        # FunASR's exported form of the layers is trained: it alone takes the masks as the runtime gives them.
        graph = export.without_dropout(export.build(conf, len(tokens))).export(encoder=conf["encoder"], type="onnx").train()
        # FunASR multiplies by 8 and adds positions of at most 1: at their own size, words would drown the positions.
        graph.embed.weight.data *= 0.1
        optimiser = torch.optim.AdamW(graph.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2)
        drawn, losses = batches(rng, draw, ids, a.batch), []
        for step in range(a.steps):
            rate = 2e-3 * min(1, (step + 1) / 200) * (0.5 * (1 + math.cos(math.pi * step / a.steps)) * 0.98 + 0.02)
            for group in optimiser.param_groups:
                group["lr"] = rate
            x, lengths, masks, y = next(drawn)
            logits = graph(x, lengths, masks, masks)
            loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-1, label_smoothing=0.02)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(graph.parameters(), 1.0)
            optimiser.step()
            losses.append(loss.item())
            if step % 200 == 199:
                print(f"step {step + 1}: loss {np.mean(losses[-200:]):.4f}", file=sys.stderr, flush=True)
        export.write(None, conf, a.out, tokens, keep_float=True, graph=graph)
    evaluate(a.out, draw)


if __name__ == "__main__":
    main()
