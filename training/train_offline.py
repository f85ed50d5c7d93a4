"""Train models/demo-offline: FunASR's BiCifParaformer, which reads an utterance with all of its context and gives times.

    train_offline.py SPEECH.pkl --work DIR --seconds 2750       SPEECH.pkl by speech.py; goes on from DIR/checkpoint.pt
    train_offline.py SPEECH.pkl --work DIR --times 240          at last, only what tells the times
    train_offline.py --work DIR --export models/demo-offline    the weights of DIR/checkpoint.pt as ONNX

It begins with the weights of models/demo, whose encoder and decoder have the same layers. Unlike it, the model ends each
utterance with </s> (predictor_bias 1): funasr_onnx needs one fire more than tokens for its times. Loss: cross-entropy of the
decoder, CTC on the encoder, and both CIFs' running totals against the times that espeak-ng gave. One CPU thread is enough.
"""
import argparse
import math
import os
import pathlib
import pickle
import random
import shutil
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F

import export
import features

DEMO = features.ROOT / "models/demo"
DIM, END = 128, 2
LFR_S, UPSAMPLED_S = 0.06, 0.02


def config():
    """FunASR's published configuration of this class, at models/demo's size."""
    still = dict(dropout_rate=0.1, positional_dropout_rate=0.1)
    return dict(
        model="BiCifParaformer",
        model_conf=dict(ctc_weight=0.3, lsm_weight=0.1, length_normalized_loss=True, predictor_weight=1.0,
                        predictor_bias=1, sampling_ratio=0.0),
        encoder="SANMEncoder",
        encoder_conf=dict(output_size=DIM, attention_heads=4, linear_units=4 * DIM, num_blocks=6, **still,
                          attention_dropout_rate=0.1, input_layer="pe", pos_enc_class="SinusoidalPositionEncoder",
                          normalize_before=True, kernel_size=11, sanm_shfit=0, selfattention_layer_type="sanm"),
        decoder="ParaformerSANMDecoder",
        decoder_conf=dict(attention_heads=4, linear_units=4 * DIM, num_blocks=1, **still, self_attention_dropout_rate=0.1,
                          src_attention_dropout_rate=0.1, att_layer_num=1, kernel_size=11, sanm_shfit=0),
        predictor="CifPredictorV3",
        # The alphas' sum lies 0.34 to 1.25 above the number of characters (held-out sentences), and 1 is wanted with </s>.
        predictor_conf=dict(idim=DIM, threshold=1.0, l_order=1, r_order=1, tail_threshold=0.7, smooth_factor2=0.25,
                            noise_threshold2=0.01, upsample_times=3, use_cif1_cnn=False, upsample_type="cnn_blstm"),
        frontend="WavFrontend",
        frontend_conf=dict(fs=16000, window="hamming", n_mels=80, frame_length=25, frame_shift=10, lfr_m=7, lfr_n=6,
                           dither=0.0),
        specaug=None, normalize=None,
        ctc_conf=dict(dropout_rate=0.0, ctc_type="builtin", reduce=True, ignore_nan_grad=True),
    )


def streaming_weights():
    """The weights of models/demo's graphs, by the names of FunASR's modules."""
    weights = {}
    for name in ("model", "decoder"):
        graph = onnx.load(DEMO / f"{name}.onnx").graph
        arrays = {i.name: torch.from_numpy(onnx.numpy_helper.to_array(i).copy()) for i in graph.initializer}
        weights.update({n.replace("coder.model.", "coder."): a for n, a in arrays.items() if not n.startswith("onnx::")})
        for node in graph.node:
            if node.op_type == "MatMul" and node.input[1] in arrays:
                # "/encoder/encoders/encoders.0/..." names each list twice.
                path = node.name.strip("/").split("/")[:-1]
                path = [p for p, after in zip(path, [*path[1:], ""]) if not after.startswith(p + ".")]
                module = ".".join(path)
                module = "predictor.cif_output" if module == "cif_output" else module
                weights[module + ".weight"] = arrays[node.input[1]].T.contiguous()
    for name in [n for n in weights if n.startswith("decoder.") and n.endswith("fsmn_block.weight")]:
        # Causal taps -10..0 become -5..5; the older ones go, the future ones begin at zero.
        taps = torch.zeros_like(weights[name])
        taps[:, :, :6] = weights[name][:, :, 5:]
        weights[name] = taps
    return weights


def build(tokens):
    conf = config()
    model = export.build(conf, len(tokens), input_size=560)
    missing, unknown = model.load_state_dict(streaming_weights(), strict=False)
    fresh = ("ctc.", "decoder.embed.", "predictor.upsample_cnn.", "predictor.blstm.", "predictor.cif_output2.")
    assert not unknown and all(n.startswith(fresh) for n in missing), (unknown, missing)
    return conf, export.without_dropout(model)


def fires(spans, frames):
    """The running totals that both CIFs should have at the end of each frame: [frames], [3 * frames].

    The first one takes a token's weight while its character is heard, and that of </s> right behind; the second one, which
    tells the times, fires where a character begins, and at last where the last one ends.
    """
    count = len(spans)
    steps = lambda n: np.stack([np.arange(n), np.arange(n) + 1], 1).reshape(-1)
    total_at = lambda step, length, x, y: np.interp((np.arange(length) + 0.5) * step, x, y)
    end = spans[-1, 1]
    first = total_at(LFR_S, frames, [*spans.reshape(-1), end + 0.12], [*steps(count), count + 1])
    starts = [*np.maximum(spans[:, 0], 0.1), end]
    before = np.maximum(np.array(starts) - 0.16, [0.0, *starts[:-1]])
    # Frame k of the second one stands for (k - 1.5) * 20 ms: 1.5 frames later, so that rounding is to the nearest.
    x = np.stack([before, starts], 1).reshape(-1) + 1.5 * UPSAMPLED_S
    second = total_at(UPSAMPLED_S, 3 * frames, x, steps(count + 1))
    first[-1] = second[-1] = count + 1
    return first.astype(np.float32), second.astype(np.float32)


def batches(sentences, ids, cmvn, size):
    """Endless batches of utterances of about the same length; each is drawn once and disturbed twice."""
    while True:
        pool = [features.utterance(sentences) for _ in range(4 * size)]
        pool.sort(key=lambda drawn: len(drawn[1]))
        clean = [features.features(audio, cmvn) for _, audio, _ in pool]
        for start in 2 * random.sample(range(0, 4 * size, size), 4):
            part, x = pool[start:start + size], clean[start:start + size]
            totals = [fires(spans, len(f)) for f, (_, _, spans) in zip(x, part)]
            pad = lambda rows, value=0.0: torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
            yield dict(x=pad([torch.from_numpy(features.disturbed(f, cmvn[1])) for f in x]),
                       lengths=torch.tensor([len(f) for f in x]),
                       y=pad([torch.tensor([*(ids[c] for c in text), END]) for text, _, _ in part], -1),
                       first=pad([torch.from_numpy(t) for t, _ in totals], -1.0),
                       second=pad([torch.from_numpy(t) for _, t in totals], -1.0))


class Utterances(torch.utils.data.IterableDataset):
    """`batches` in a process of its own."""

    def __init__(self, *arguments):
        super().__init__()
        self.arguments = arguments

    def __iter__(self):
        return batches(*self.arguments)


def distance(totals, wanted):
    real = wanted >= 0
    return (totals - wanted)[real].abs().mean()


def times_loss(predictor, hidden, batch):
    """The second CIF, which only tells the times, against espeak-ng's."""
    up = predictor.blstm(predictor.upsample_cnn(hidden.transpose(1, 2)).transpose(1, 2))[0]
    alphas = torch.sigmoid(predictor.cif_output2(up)).squeeze(-1)
    alphas = torch.relu(alphas * predictor.smooth_factor2 - predictor.noise_threshold2) * (batch["second"] >= 0)
    # As in use: scaled to the number of tokens.
    total = alphas.cumsum(1)
    wanted = (batch["y"] >= 0).sum(1, keepdim=True)
    scaled = total * (wanted / total[:, -1:].clamp(min=1e-3))
    return distance(total, batch["second"]) + distance(scaled, batch["second"])


def train_times(model, drawn, seconds):
    """Train the second CIF alone, behind an encoder that stays as it is."""
    predictor = model.predictor
    weights = [w for part in (predictor.upsample_cnn, predictor.blstm, predictor.cif_output2) for w in part.parameters()]
    optimiser = torch.optim.AdamW(weights, betas=(0.9, 0.98), weight_decay=1e-3)
    began, losses = time.monotonic(), []
    while (elapsed := time.monotonic() - began) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (len(losses) + 1) / 50) * (0.5 * (1 + math.cos(math.pi * elapsed / seconds)) + 0.01)
        batch = next(drawn)
        with torch.no_grad():
            hidden = model.encoder(batch["x"], batch["lengths"])[0]
        loss = times_loss(predictor, hidden, batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        losses.append(loss.item())
        if len(losses) % 100 == 0:
            print(f"times, step {len(losses)} at {elapsed:.0f} s: {np.mean(losses[-100:]):.3f}", flush=True)


def loss_of(model, batch, with_times):
    lengths, y = batch["lengths"], batch["y"]
    y_lengths = (y >= 0).sum(1)
    hidden = model.encoder(batch["x"], lengths)[0]
    mask = (torch.arange(hidden.size(1))[None] < lengths[:, None]).float()
    predictor = model.predictor
    q = torch.relu(predictor.cif_conv1d(predictor.pad(hidden.transpose(1, 2)))).transpose(1, 2)
    alphas = torch.sigmoid(predictor.cif_output(q)).squeeze(-1) * mask
    quantity = alphas.sum(1)
    # CIF: token n takes from frame t the part of the running total's step that lies between n and n + 1.
    scaled = alphas * (y_lengths / quantity.clamp(min=1e-3))[:, None]
    total = scaled.cumsum(1)
    n = torch.arange(y.size(1))[None, :, None]
    share = torch.minimum(total[:, None], n + 1) - torch.maximum((total - scaled)[:, None], n)
    out = model.decoder(hidden, lengths, share.clamp(min=0) @ hidden, y_lengths)[0]
    real = y >= 0
    entropy = F.cross_entropy(out[real], y[real], label_smoothing=0.1)
    accuracy = (out.argmax(-1) == y)[real].float().mean()
    ctc = F.ctc_loss(model.ctc.ctc_lo(hidden).log_softmax(-1).transpose(0, 1), y.clamp(min=0), lengths, y_lengths - 1,
                     zero_infinity=True, reduction="none")
    ctc = (ctc / y_lengths).mean()
    count = (quantity - y_lengths).abs().sum() / y_lengths.sum()
    first = distance(alphas.cumsum(1), batch["first"])
    loss = entropy + model.ctc_weight * ctc + count + 0.5 * first
    second = torch.tensor(float("nan"))
    if with_times:
        second = times_loss(predictor, hidden.detach(), batch)
        loss = loss + second
    return loss, [v.item() for v in (loss, entropy, accuracy, ctc, count, first, second)]


def recognise(model, tokens, samples, cmvn):
    """The text that the PyTorch model gives for an utterance."""
    x = torch.from_numpy(features.features(samples, cmvn))[None]
    lengths = torch.tensor([x.size(1)])
    with torch.no_grad():
        hidden, lengths = model.encode(x, lengths)
        embeds, count, _, _ = model.calc_predictor(hidden, lengths)
        count = count.round().long()
        if count.max() < 1:
            return ""
        ids = model.cal_decoder_with_predictor(hidden, lengths, embeds, count)[0][0].argmax(-1).tolist()
    return "".join(tokens[i] for i in ids if i not in (0, END))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("speech", nargs="?", type=pathlib.Path)
    ap.add_argument("--work", type=pathlib.Path, required=True)
    ap.add_argument("--seconds", type=float, default=2750)
    ap.add_argument("--batch", type=int, default=12)
    ap.add_argument("--peak-rate", type=float, default=8e-4)
    ap.add_argument("--times", type=float, metavar="SECONDS", help="train only what tells the times, at last")
    ap.add_argument("--watch", type=pathlib.Path, help="a folder of speak_sentences.py: its error rate is shown")
    ap.add_argument("--export", type=pathlib.Path, help="write this model directory and end")
    a = ap.parse_args()
    torch.manual_seed(0)
    a.work.mkdir(parents=True, exist_ok=True)
    path, tokens, cmvn = a.work / "checkpoint.pt", features.read_tokens(DEMO), features.read_cmvn(DEMO)
    conf, model = build(tokens)
    state = torch.load(path) if path.exists() else {}
    if a.export:
        model.load_state_dict(state["average"])
        # A last character that is lost to a second </s> costs more than a </s> that is not said: the last token goes anyway.
        model.decoder.output_layer.bias.data[END] -= 3
        export.write(model.eval(), conf, a.export, tokens)
        shutil.copy(DEMO / "am.mvn", a.export / "am.mvn")
        return
    random.seed(state.get("step", 0))  # other utterances after a break
    with a.speech.open("rb") as f:
        dataset = Utterances(pickle.load(f), {t: i for i, t in enumerate(tokens)}, cmvn, a.batch)
    drawn = iter(torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=1))
    if a.times:
        model.load_state_dict(state["average"])
        train_times(model, drawn, a.times)
        torch.save(state | dict(average=model.state_dict()), path)
        return
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.997))
    step, elapsed = state.get("step", 0), state.get("elapsed", 0.0)
    if state:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average.module.load_state_dict(state["average"])
    history, saved = [], elapsed
    while elapsed < a.seconds:
        began = time.monotonic()
        rate = a.peak_rate * min(1, (step + 1) / 200) * (0.5 * (1 + math.cos(math.pi * elapsed / a.seconds)) * 0.98 + 0.02)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, parts = loss_of(model, next(drawn), step % 2 == 0)
        optimiser.zero_grad()
        if not torch.isfinite(loss):
            continue
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        average.update_parameters(model)
        step += 1
        history.append(parts)
        elapsed += min(time.monotonic() - began, 10)  # no more where the process was stopped for a while
        if step % 100 == 0:
            names = ("loss", "entropy", "accuracy", "ctc", "count", "first", "second")
            means = zip(names, np.nanmean(history[-100:], 0))
            print(f"step {step} at {elapsed:.0f} s:", *(f"{n} {v:.3f}" for n, v in means), flush=True)
        if elapsed - saved > 200 or elapsed >= a.seconds:
            saved = elapsed
            torch.save(dict(model=model.state_dict(), average=average.module.state_dict(), step=step, elapsed=elapsed,
                            optimiser=optimiser.state_dict()), a.work / "checkpoint.new")
            os.replace(a.work / "checkpoint.new", path)
            if a.watch:
                from evaluate_offline import error_rate, read_sentences
                average.module.eval()
                pairs = [(t, recognise(average.module, tokens, s, cmvn)) for s, t in read_sentences(a.watch)]
                average.module.train()
                print(f"step {step}: {error_rate(pairs):.2%} character errors in {a.watch.name}", flush=True)


if __name__ == "__main__":
    main()
