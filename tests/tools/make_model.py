"""Build streaming Paraformer models with FunASR's own classes and export them with FunASR's own graph code.

    make_model.py OUT --preset tiny --audio speech.wav noise.wav [--seed N] [--sherpa]
    make_model.py OUT --preset large [--seed N] [--sherpa]

The result is a model directory with exactly the files, graph inputs and outputs and quantisation of the published ONNX
exports, with random weights: for equality and speed, where the published weights cannot be had.
    large   158 M + 57 M parameters: the published online-large model's shape
    tiny    a few hundred thousand parameters, calibrated so that its tokens say something (see `calibrate`)
Files: model.onnx, model_quant.onnx, decoder.onnx, decoder_quant.onnx, config.yaml, am.mvn, tokens.json; with --sherpa also
encoder.int8.onnx, decoder.int8.onnx and tokens.txt in sherpa-onnx's layout. The same seed gives the same bytes.
"""
import argparse
import copy
import json
import os
import shutil
import sys
import types

import numpy as np
import onnx
import torch
import yaml
from onnxruntime.quantization import QuantType, quantize_dynamic

from host_loop import Host, read_wav

# Pieces of the tiny vocabulary beside Chinese characters: words, open pieces, single letters, digits, and what YAML 1.1
# takes for something else than text.
PIECES = """he@@ llo wor@@ ld a b c d 0 1 2 3 4 5 6 7 8 9 no on yes off y n null true - hel@@ lo wo@@ rd go@@ ing play@@
ed re@@ start stop un@@ do able the and you me@@ dia con@@ tent stream@@ live cap@@ tion s t x@@ z te@@ st ok""".split()
# funasr_onnx's detokeniser fails on this piece, so no tiny model may choose it.
NEVER_CHOSEN = ["-"]

# What `calibrate` aims at.
FSMN_GAIN = 3.0
ALPHA_MEAN, ALPHA_SPREAD = 0.24, 0.5
WHITEN_FLOOR = 0.3
STATE_NOISE = 0.05
# Streams that end at once, in samples: their tokens have another context than the same audio's in a longer stream.
BEGINNINGS = [400, 960, 1360, 9520, 10560]


def config(output_size, linear_units, encoder_blocks, decoder_blocks):
    """The published configuration at another size."""
    return dict(
        model="ParaformerStreaming",
        model_conf=dict(ctc_weight=0.0, lsm_weight=0.1, length_normalized_loss=True, predictor_weight=1.0,
                        predictor_bias=1, sampling_ratio=0.75),
        encoder="SANMEncoderChunkOpt",
        encoder_conf=dict(output_size=output_size, attention_heads=4, linear_units=linear_units,
                          num_blocks=encoder_blocks, dropout_rate=0.1, positional_dropout_rate=0.1,
                          attention_dropout_rate=0.1, input_layer="pe_online",
                          pos_enc_class="SinusoidalPositionEncoder", normalize_before=True, kernel_size=11,
                          sanm_shfit=0, selfattention_layer_type="sanm", chunk_size=[12, 15], stride=[8, 10],
                          pad_left=[0, 0], encoder_att_look_back_factor=[4, 4],
                          decoder_att_look_back_factor=[1, 1]),
        decoder="ParaformerSANMDecoder",
        decoder_conf=dict(attention_heads=4, linear_units=linear_units, num_blocks=decoder_blocks,
                          dropout_rate=0.1, positional_dropout_rate=0.1, self_attention_dropout_rate=0.1,
                          src_attention_dropout_rate=0.1, att_layer_num=decoder_blocks, kernel_size=11,
                          sanm_shfit=5),
        predictor="CifPredictorV2",
        predictor_conf=dict(idim=output_size, threshold=1.0, l_order=1, r_order=1, tail_threshold=0.45),
        frontend="WavFrontendOnline",
        # The published configuration has no dither, which funasr_onnx takes for 1.0: random features, and no oracle.
        frontend_conf=dict(fs=16000, window="hamming", n_mels=80, frame_length=25, frame_shift=10, lfr_m=7, lfr_n=6,
                           dither=0.0),
        specaug=None, normalize=None,
        ctc_conf=dict(dropout_rate=0.0, ctc_type="builtin", reduce=True, ignore_nan_grad=True),
    )


CHUNK_SIZES = [[5, 10, 5], [8, 8, 4], [0, 10, 5], [0, 8, 4], [6, 6, 4], [10, 10, 6]]
PRESETS = {"large": (config(512, 2048, 50, 16), 8404), "tiny": (config(64, 256, 3, 2), 200)}


def chinese(count):
    return [chr(0x4E00 + i) for i in range(count)]


def vocabulary(preset, size):
    """FunASR's order: the three special tokens first, <unk> last."""
    count = size - 4
    if preset == "large":
        middle = chinese(count)
    else:
        # Every third token is a piece while there are any, so that an error of one in an id changes the script too.
        pieces, characters = iter(PIECES), iter(chinese(count))
        middle = [next(pieces if i % 3 == 0 and i // 3 < len(PIECES) else characters) for i in range(count)]
    return ["<blank>", "<s>", "</s>", *middle, "<unk>"]


def cmvn(preset, seed):
    """The 560 shifts and scales, rounded to what am.mvn holds."""
    if preset == "large":
        # Typical log-mel statistics of speech, the same for each of the 7 stacked frames.
        shift, scale = np.tile(np.linspace(-12.0, -9.5, 80), 7), np.full(560, 0.25)
    else:
        # No two values alike, so that a wrong index shows; small, so that features do not drown the positions.
        random = np.random.RandomState(seed)
        shift, scale = random.uniform(-14.0, -8.0, 560), random.uniform(0.03, 0.12, 560)
    return shift.round(6), scale.round(6)


def import_funasr():
    """FunASR's class tables. torchaudio is imported there and not needed for these classes: a stub stands in for it."""
    for name in ("torchaudio", "torchaudio.compliance", "torchaudio.compliance.kaldi", "torchaudio.transforms"):
        sys.modules.setdefault(name, types.ModuleType(name))
    import funasr.models.ctc.ctc  # noqa: F401
    import funasr.models.paraformer.cif_predictor  # noqa: F401
    import funasr.models.paraformer.decoder  # noqa: F401
    import funasr.models.paraformer_streaming.model  # noqa: F401
    import funasr.models.scama.decoder  # noqa: F401
    import funasr.models.scama.encoder  # noqa: F401
    from funasr.register import tables

    return tables


def write_text_files(out, conf, tokens, shift, scale):
    """config.yaml, tokens.json and am.mvn."""
    with open(os.path.join(out, "config.yaml"), "w", encoding="utf-8") as f:
        yaml.safe_dump(conf, f, sort_keys=False)
    with open(os.path.join(out, "tokens.json"), "w", encoding="utf-8") as f:
        json.dump(tokens, f, ensure_ascii=False)

    def row(values):
        return "<LearnRateCoef> 0 [ " + " ".join(f"{value:.6f}" for value in values) + " ]\n"

    with open(os.path.join(out, "am.mvn"), "w", encoding="utf-8") as f:
        f.write("<Nnet>\n<Splice> 560 560\n[ 0 ]\n<AddShift> 560 560\n" + row(shift)
                + "<Rescale> 560 560\n" + row(scale) + "</Nnet>\n")


def build(conf, vocab_size):
    """The two graphs, as FunASR exports them: encoder with predictor, and decoder."""
    tables = import_funasr()
    from funasr.models.paraformer_streaming.export_meta import export_rebuild_model

    kwargs = copy.deepcopy(conf)
    model_conf = kwargs.pop("model_conf")
    model = tables.model_classes.get(kwargs["model"])(**kwargs, **model_conf, input_size=560, vocab_size=vocab_size)
    parts = export_rebuild_model(model, encoder=conf["encoder"], predictor=conf["predictor"],
                                 decoder=conf["decoder"], type="onnx", max_seq_len=512)
    return [part.eval() for part in parts]


class TorchGraph:
    """A torch module behind ONNX Runtime's `run`, so that the oracle's loop can drive a model not yet exported."""

    def __init__(self, module):
        self.module = module

    def run(self, _, feed):
        with torch.no_grad():
            *outputs, last = self.module(*(torch.from_numpy(value) for value in feed.values()))
        outputs += last if isinstance(last, (list, tuple)) else [last]
        return [output.numpy() for output in outputs]


class TorchHost(Host):
    def __init__(self, directory, chunk_size, parts):
        self.parts = parts
        super().__init__(directory, chunk_size)

    def load_graphs(self, directory, precision):
        return [TorchGraph(part) for part in self.parts]


def observed(layer, run):
    """The inputs and the outputs that `layer` sees while `run` runs, one row each."""
    seen = []
    hook = layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    run()
    hook.remove()
    return [torch.cat([part.flatten(0, 1) for part in parts]).double() for parts in zip(*seen)]


def calibrate(directory, parts, audio, tokens):
    """Scale a random model until its tokens depend on everything that a host can get wrong, and on nothing else.

    Random weights alone give nearly the same alpha for every frame and the same token for every embedding: a host without
    caches, context or positions would pass. So, looking at what the model makes of `audio` (arrays of samples):
    - the decoder's FSMN memory counts for more, so that a token depends on the ten before it;
    - alphas differ from frame to frame, around 0.24: four tokens a second, as in speech;
    - the output layer shows what differs between the decoder's states and not what they share (it whitens them), so that
      many tokens occur, and a state that is another one gives another token;
    - then it learns to be sure of those tokens, as a trained model is, so that float rounding, which int8 amplifies,
      does not choose between two tokens of nearly the same logit.
    """
    encoder, decoder = parts

    def listen():
        for chunk_size in CHUNK_SIZES:
            host = TorchHost(directory, chunk_size, parts)
            for samples in audio:
                host.run(samples)

    for layer in decoder.decoder.model.decoders:
        layer.self_attn.fsmn_block.weight.data *= FSMN_GAIN

    alpha = encoder.predictor.cif_output
    _, logits = observed(alpha, listen)
    gain = ALPHA_SPREAD / logits.std()
    spread = (logits - alpha.bias.double()) * gain
    low, high = -20.0, 20.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if torch.sigmoid(spread + middle).mean() > ALPHA_MEAN else (middle, high)
    alpha.weight.data *= gain
    alpha.bias.data.fill_(low)

    output = decoder.decoder.output_layer
    states, _ = observed(output, listen)
    variances, axes = torch.linalg.eigh(torch.cov(states.T))
    whiten = axes @ torch.diag((variances + WHITEN_FLOOR * variances.mean()) ** -0.5) @ axes.T
    weight = torch.nn.functional.normalize(torch.randn(len(tokens), states.shape[1], dtype=torch.float64), dim=1)
    bias = torch.zeros(len(tokens), dtype=torch.float64)
    bias[[tokens.index(token) for token in NEVER_CHOSEN]] = -1e4
    centred = (states - states.mean(0)) @ whiten
    weight, bias = grow_margins(weight, bias, centred)
    output.weight.data.copy_(weight @ whiten)
    output.bias.data.copy_(bias - weight @ whiten @ states.mean(0))


def grow_margins(weight, bias, states, steps=400, margin=4.0):
    """The linear classifier that chooses the same token for each state, by a margin, also when the state is a bit off."""
    labels = (states @ weight.T + bias).argmax(1, keepdim=True)
    weight, bias = weight.requires_grad_(), bias.requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], lr=0.05)
    for _ in range(steps):
        logits = (states + STATE_NOISE * torch.randn_like(states)) @ weight.T + bias
        chosen = logits.gather(1, labels)
        other = logits.scatter(1, labels, -torch.inf).amax(1, keepdim=True)
        loss = torch.relu(margin - (chosen - other)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weight.detach(), bias.detach()


def export(parts, out, opset=14):
    for part in parts:
        path = os.path.join(out, part.export_name + ".onnx")
        with torch.no_grad():
            torch.onnx.export(part, tuple(part.export_dummy_inputs()), path, opset_version=opset,
                              do_constant_folding=True, input_names=part.export_input_names(),
                              output_names=part.export_output_names(), dynamic_axes=part.export_dynamic_axes(),
                              dynamo=False)
        keep_float = [node.name for node in onnx.load(path).graph.node
                      if any(key in node.name for key in ("output", "bias_encoder", "bias_decoder"))]
        quantize_dynamic(path, path.replace(".onnx", "_quant.onnx"), op_types_to_quantize=["MatMul"], per_channel=True,
                         reduce_range=False, weight_type=QuantType.QUInt8, nodes_to_exclude=keep_float)


def add_sherpa_layout(out, conf, tokens, shift, scale):
    """The int8 graphs again in sherpa-onnx's layout: what am.mvn and config.yaml hold is metadata of the encoder."""
    encoder = onnx.load(os.path.join(out, "model_quant.onnx"))
    metadata = dict(vocab_size=len(tokens), model_type="paraformer", lfr_window_size=7, lfr_window_shift=6,
                    neg_mean=",".join(map(str, shift)), inv_stddev=",".join(map(str, scale)),
                    encoder_output_size=conf["encoder_conf"]["output_size"],
                    decoder_num_blocks=conf["decoder_conf"]["num_blocks"],
                    decoder_kernel_size=conf["decoder_conf"]["kernel_size"])
    for key, value in metadata.items():
        encoder.metadata_props.add(key=key, value=str(value))
    onnx.save(encoder, os.path.join(out, "encoder.int8.onnx"))
    shutil.copy(os.path.join(out, "decoder_quant.onnx"), os.path.join(out, "decoder.int8.onnx"))
    with open(os.path.join(out, "tokens.txt"), "w", encoding="utf-8") as f:
        f.writelines(f"{token} {i}\n" for i, token in enumerate(tokens))


def make(out, preset, seed, audio=(), sherpa=False):
    """Write the model directory `out`; returns the number of parameters. `audio`: the files to calibrate a tiny model on."""
    os.makedirs(out, exist_ok=True)
    conf, vocab_size = PRESETS[preset]
    tokens, (shift, scale) = vocabulary(preset, vocab_size), cmvn(preset, seed)
    write_text_files(out, conf, tokens, shift, scale)
    # One thread adds up in one order, so that the same seed gives the same bytes everywhere.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    parts = build(conf, vocab_size)
    if preset == "tiny":
        whole = [np.zeros(3 * 16000, np.float32), *(read_wav(path) for path in audio)]
        calibrate(out, parts, whole + [samples[:count] for samples in whole for count in BEGINNINGS], tokens)
    else:
        # About 0.25 a frame: four tokens a second, as in speech; random weights alone give 0.5.
        parts[0].predictor.cif_output.bias.data.fill_(-1.1)
    export(parts, out)
    if sherpa:
        add_sherpa_layout(out, conf, tokens, shift, scale)
    return sum(parameter.numel() for parameter in parts[0].parameters())


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--audio", nargs="+", default=[], help="what to calibrate a tiny model on")
    ap.add_argument("--sherpa", action="store_true")
    a = ap.parse_args()
    if a.preset == "tiny" and not a.audio:
        ap.error("a tiny model needs --audio")
    parameters = make(a.out, a.preset, a.seed, a.audio, a.sherpa)
    print(f"{a.out}: {parameters / 1e6:.1f} M parameters")


if __name__ == "__main__":
    main()
