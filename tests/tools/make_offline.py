"""Build small offline Paraformers with FunASR's own classes and export them with FunASR's own graph code; print what
funasr_onnx makes of recordings.

    make_offline.py --test-data [--recordings DIR]                        models/offline-* and goldens/offline.jsonl
    make_offline.py OUT --kind plain|bicif|contextual|seaco [--seed N] [--specials]
    make_offline.py --goldens MODEL_DIR ... [--recordings DIR]  > goldens/offline.jsonl

OUT gets the files of the published directories: model.onnx, model_quant.onnx, config.yaml, am.mvn, tokens.json, and where
the kind takes hotwords model_eb.onnx. The weights are random, then scaled so that about four tokens a second fire, hotwords
change the result, and each choice is sure; with --specials <blank>, </s> and <unk> are chosen now and then.

A golden is one JSON line: the case ("model", "kind", "precision", "audio", "samples", "repeat", "hotwords"), then
"token_num", "ids" (the best of each row of the logits), "margin" (the closest choice), and where the kind gives times
"row_times" ([begin, end] in ms of every row but predictor_bias, as funasr_onnx's function gives it for that many tokens; it
gives none where the second CIF heard another number of them, as in silence). What
funasr_onnx itself returns is "text", "tokens" and, with times, "timestamp"; "error" is why it returns nothing. With
--recordings also lines for the recording of the FunASR repository in DIR, which is not carried here.
"""
import argparse
import json
import logging
import os
import pathlib
import shutil
import tempfile
import warnings

warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402

import make_model  # noqa: E402
from host_loop import read_wav  # noqa: E402
from make_goldens import AUDIO, GOLDENS, MODELS, audio_of, copy_files, write_lines  # noqa: E402

CLASSES = {"plain": "Paraformer", "bicif": "BiCifParaformer", "contextual": "ContextualParaformer", "seaco": "SeacoParaformer"}
TAKES_HOTWORDS, GIVES_TIMES = ("contextual", "seaco"), ("bicif", "seaco")
# Kind, seed, whether special tokens are chosen, and the graphs that are kept.
TEST_MODELS = {
    "offline-plain": ("plain", 1, False, ["model.onnx", "model_quant.onnx"]),
    "offline-bicif": ("bicif", 2, False, ["model_quant.onnx"]),
    "offline-specials": ("bicif", 3, True, ["model_quant.onnx"]),
    "offline-contextual": ("contextual", 4, False, ["model_quant.onnx", "model_eb.onnx"]),
    "offline-seaco": ("seaco", 5, False, ["model_quant.onnx", "model_eb.onnx"]),
}
DIM, UNITS, ENCODER_BLOCKS = 32, 64, 2
# The last block of the contextual decoder is another class than the ones before.
DECODER_BLOCKS = {"plain": 1, "bicif": 1, "contextual": 2, "seaco": 1}
PIECES = "he@@ llo wor@@ ld ok go@@ ing a b c".split()
CHARACTERS = make_model.chinese(110)
# SeACo's class for "no hotword here" is a token of the vocabulary like any other; the published one has a rare character.
NO_BIAS = "囗"
TOKENS = ["<blank>", "<s>", "</s>", *PIECES, *CHARACTERS, NO_BIAS, "<unk>"]
NEVER = -40.0

# What `calibrate` aims at: means and deviations of the two alphas' logits.
ALPHA, SECOND_ALPHA = (-1.3, 0.8), (-1.0, 1.5)
HOTWORD_STATE_GAIN, HOTWORD_PART_GAIN, HOTWORD_ATTENTION_GAIN = 4.0, 8.0, 3.0
SHARE_WITHOUT_HOTWORD = 0.6


def config(kind):
    conf = make_model.config(DIM, UNITS, ENCODER_BLOCKS, DECODER_BLOCKS[kind])
    conf.update(model=CLASSES[kind], encoder="SANMEncoder", frontend="WavFrontend")
    streaming = ("chunk_size", "stride", "pad_left", "encoder_att_look_back_factor", "decoder_att_look_back_factor")
    for key in streaming:
        del conf["encoder_conf"][key]
    conf["encoder_conf"]["input_layer"] = "pe"
    conf["decoder_conf"]["sanm_shfit"] = 0
    if kind in GIVES_TIMES:
        conf["predictor"] = "CifPredictorV3"
        conf["predictor_conf"].update(upsample_times=3, upsample_type="cnn_blstm", use_cif1_cnn=False, smooth_factor2=0.25,
                                      noise_threshold2=0.01)
    if kind in TAKES_HOTWORDS:
        conf["model_conf"]["inner_dim"] = DIM
    if kind == "contextual":
        conf["decoder"] = "ContextualParaformerDecoder"
    if kind == "seaco":
        conf["model_conf"].update(bias_encoder_type="lstm", bias_encoder_bid=False, seaco_lsm_weight=0.1,
                                  seaco_length_normal=True, train_decoder=False, NO_BIAS=TOKENS.index(NO_BIAS))
        # Six layers look for hotwords, however few blocks there are: the graph reads the attention of the sixth.
        conf["seaco_decoder"] = "ParaformerSANMDecoder"
        conf["seaco_decoder_conf"] = dict(conf["decoder_conf"], num_blocks=1, kernel_size=21, use_output_layer=False,
                                          wo_input_layer=True)
        del conf["seaco_decoder_conf"]["att_layer_num"]
    return conf


def build(conf):
    """The graphs as FunASR exports them, but for what its exporter takes for granted of the published models."""
    tables = make_model.import_funasr()
    import funasr.models.bicif_paraformer.model  # noqa: F401
    import funasr.models.contextual_paraformer.decoder  # noqa: F401
    import funasr.models.contextual_paraformer.model  # noqa: F401
    import funasr.models.sanm.encoder  # noqa: F401
    import funasr.models.seaco_paraformer.model  # noqa: F401

    arguments = {**conf, **conf["model_conf"], "vocab_size": len(TOKENS), "input_size": 560}
    model = tables.model_classes.get(conf["model"])(**arguments).eval()
    arguments = {key: value for key, value in conf.items() if key != "model"}
    parts = model.export(**arguments, type="onnx", device="cpu")
    parts = [part.eval() for part in (parts if isinstance(parts, tuple) else (parts,))]
    if len(parts) == 2:
        speech, lengths, _ = parts[0].export_dummy_inputs()
        # The number of hotwords becomes a constant of the graph, and only 1 serves any other number.
        parts[0].export_dummy_inputs = lambda: (speech, lengths, torch.randn(2, 1, DIM))
        parts[0].NOBIAS = TOKENS.index(NO_BIAS)
    return parts


def write_text_files(out, conf, seed):
    """The CMVN is such that single and double precision give the same features: whole 64ths, and powers of two."""
    random = np.random.RandomState(seed)
    shift = random.randint(-14 * 64, -8 * 64, 560) / 64
    scale = 2.0 ** random.randint(-5, -2, 560)
    make_model.write_text_files(out, conf, TOKENS, shift, scale)


def frontend(directory):
    from funasr_onnx.utils.frontend import WavFrontend

    with open(os.path.join(directory, "config.yaml"), encoding="utf-8") as f:
        conf = yaml.safe_load(f)["frontend_conf"]
    return WavFrontend(os.path.join(directory, "am.mvn"), **conf)


def spell(hotwords):
    """The ids of the words that can be spelt, cut to ten, and those of <s>: what FunASR's C++ takes."""
    words = [word[:10] for word in hotwords.split() if all(character in TOKENS for character in word)]
    return [[TOKENS.index(character) for character in word] for word in words] + [[1]]


def embed(embedder, hotwords):
    words = spell(hotwords)
    ids = torch.zeros(len(words), 10, dtype=torch.int32)
    for row, word in zip(ids, words):
        row[:len(word)] = torch.tensor(word)
    with torch.no_grad():
        states = embedder(ids)
    return torch.stack([states[len(word) - 1, row] for row, word in enumerate(words)])[None]


def calibrate(directory, parts, kind, specials):
    graph, front = parts[0], frontend(directory)
    if kind in TAKES_HOTWORDS:
        for name, weight in parts[1].bias_encoder.named_parameters():
            weight.data *= HOTWORD_STATE_GAIN if "weight" in name else 1
    inputs = []
    for audio, samples, repeat, hotwords in cases(kind):
        samples = audio_of(dict(audio=audio, samples=samples, repeat=repeat))
        if len(samples) >= LEAST_SAMPLES:
            rows = torch.from_numpy(front.lfr_cmvn(front.fbank(samples)[0])[0]).float()[None]
            inputs.append((rows, torch.tensor([rows.shape[1]], dtype=torch.int32),
                           *([embed(parts[1], hotwords)] if kind in TAKES_HOTWORDS else [])))

    def listen():
        for each in inputs:
            with torch.no_grad():
                graph(*each)

    def spread(layer, mean, deviation):
        _, logits = make_model.observed(layer, listen)
        gain = deviation / logits.std()
        layer.weight.data *= gain
        layer.bias.data.fill_(mean - float((logits - layer.bias.double()).mean() * gain))

    spread(graph.predictor.cif_output, *ALPHA)
    if kind in GIVES_TIMES:
        spread(graph.predictor.cif_output2, *SECOND_ALPHA)
    if kind == "contextual":
        graph.decoder.bias_output.weight.data[:, DIM:] *= HOTWORD_PART_GAIN
    heads = [graph.decoder.output_layer]
    if kind == "seaco":
        for name, weight in graph.seaco_decoder.named_parameters():
            if name.endswith(("src_attn.linear_q.weight", "src_attn.linear_out.weight")):
                weight.data *= HOTWORD_ATTENTION_GAIN
        heads.append(graph.hotword_output_layer)
    for number, head in enumerate(heads):
        decide(head, listen, specials, number == 1)


def decide(head, listen, specials, is_hotword_head):
    """A random choice of tokens by what differs between the states, then made sure (as make_model.calibrate)."""
    states, _ = make_model.observed(head, listen)
    variances, axes = torch.linalg.eigh(torch.cov(states.T))
    whiten = axes @ torch.diag((variances + make_model.WHITEN_FLOOR * variances.mean()) ** -0.5) @ axes.T
    centred = (states - states.mean(0)) @ whiten
    weight = torch.nn.functional.normalize(torch.randn(len(TOKENS), DIM, dtype=torch.float64), dim=1)
    bias = torch.zeros(len(TOKENS), dtype=torch.float64)
    bias[[0, 1, 2, -1]] = NEVER
    if specials:
        bias[[0, 2, -1]] = 0.0
        weight[[0, 2, -1]] *= 1.2
    none = TOKENS.index(NO_BIAS)
    bias[none] = NEVER
    if is_hotword_head:
        logits = centred @ weight.T + bias
        best = logits.amax(1)
        bias[none] = (best - centred @ weight[none]).quantile(SHARE_WITHOUT_HOTWORD)
    weight, bias = make_model.grow_margins(weight, bias, centred)
    head.weight.data.copy_(weight @ whiten)
    head.bias.data.copy_(bias - weight @ whiten @ states.mean(0))


def make(out, kind, seed, specials=False):
    logging.disable(logging.INFO)  # the quantiser tells of every tensor
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    conf = config(kind)
    write_text_files(out, conf, seed)
    parts = build(conf)
    calibrate(out, parts, kind, specials)
    for part in parts:
        if not isinstance(part.export_name, str):
            part.export_name = "model"
        dummy = part.export_dummy_inputs()
        part.export_dummy_inputs = lambda dummy=dummy: dummy if isinstance(dummy, tuple) else (dummy,)
    make_model.export(parts, out)
    for name in os.listdir(out):
        if name.endswith(".onnx"):
            strip(os.path.join(out, name))
    if kind in TAKES_HOTWORDS:
        os.remove(os.path.join(out, "model_eb_quant.onnx"))


def strip(path):
    """Without what only people read, which takes more room than such small weights: the nodes' names and notes."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        del node.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save(model, path)


PRESENT = "{} {}".format("".join(CHARACTERS[5:8]), "".join(CHARACTERS[40:42]))
HOTWORDS = {
    "none": "",
    "present": PRESENT,
    # Words that the model cannot spell are left out, and longer ones than ten characters are cut, as FunASR's C++ does.
    "unknown": f"囧囧 {PRESENT} {CHARACTERS[9]}囧",
    "long": "".join(CHARACTERS[20:33]),
    "letters": f"abc {CHARACTERS[70]}",
}
RECORDING = "asr_example.wav"
LENGTHS = [0, 399, 400, 1600, 2400, 4000, 8000, 16000, 40000]
LONG_SAMPLES = 60 * 16000
# And without calibration.
OTHER_SAMPLES = [20 * 16000, 30 * 16000, 45 * 16000]
# Closer choices are left out: rounding on another processor could turn them.
LEAST_MARGIN = 0.05
# Fewer may not fire any token, and then the graphs fail.
LEAST_SAMPLES = 8000


def thousand():
    """A thousand words of two to four characters."""
    random = np.random.RandomState(7)
    return " ".join("".join(random.choice(CHARACTERS, random.randint(2, 5))) for _ in range(1000))


def cases(kind):
    """(audio, samples, repeat, hotwords) of each golden."""
    lists = ["none", "present", "unknown", "long", "letters"] if kind in TAKES_HOTWORDS else ["none"]
    speech = len(read_wav(AUDIO / "speech.wav"))
    for name in lists:
        yield "speech.wav", speech, 1, HOTWORDS[name]
        yield "sentences/000.wav", len(read_wav(AUDIO / "sentences/000.wav")), 1, HOTWORDS[name]
    if kind in TAKES_HOTWORDS:
        yield "speech.wav", speech, 1, thousand()
    for samples in LENGTHS:
        yield "speech.wav", samples, 1, ""
    for audio in ("noise.wav", "sentences/003.wav", "sentences/007.wav", "sentences/010.wav"):
        yield audio, len(read_wav(AUDIO / audio)), 1, ""
    for samples in (1600, 16000, 48000):
        yield "silence", samples, 1, ""
    yield "speech.wav", LONG_SAMPLES, LONG_SAMPLES // speech + 1, ""


def recogniser(directory, kind, quantize):
    """funasr_onnx's class, which keeps what its graph gave last as `seen`."""
    from funasr_onnx import paraformer_bin

    base = paraformer_bin.ContextualParaformer if kind in TAKES_HOTWORDS else paraformer_bin.Paraformer

    class Recogniser(base):
        def infer(self, *inputs):
            self.seen = None
            self.seen = super().infer(*inputs)
            return self.seen

        def bb_infer(self, *inputs):
            self.seen = None
            self.seen = super().bb_infer(*inputs)
            return self.seen

        def proc_hotword(self, hotwords):
            # Its own takes no empty list, no word that cannot be spelt, and none of more than ten characters.
            words = spell(hotwords)
            return np.array([word + [0] * (10 - len(word)) for word in words], np.int32), np.array([len(word) - 1 for word in words])

    return Recogniser(directory, batch_size=1, quantize=quantize, intra_op_num_threads=1)


def result(model, kind, samples, hotwords):
    """What funasr_onnx gives, and what its graph gave."""
    from funasr_onnx.utils.timestamp_utils import time_stamp_lfr6_onnx

    model.seen, line = None, {}
    try:
        found = model(samples, hotwords) if kind in TAKES_HOTWORDS else model(samples)
        error = None if found else "no result"
    except (AssertionError, IndexError, ValueError) as e:
        found, error = None, type(e).__name__
    if model.seen:
        logits, tokens = model.seen[0][0], int(model.seen[1][0])
        best = np.sort(logits, axis=-1)
        line.update(token_num=tokens, ids=logits.argmax(-1).tolist(), margin=round(float((best[:, -1] - best[:, -2]).min()), 3))
        rows = tokens - model.pred_bias
        if kind in GIVES_TIMES and rows > 0 and (model.seen[3][0] > 1.0 - 1e-4).sum() == rows + 1:
            line["row_times"] = time_stamp_lfr6_onnx(model.seen[3][0], ["x"] * rows)[1]
    if error:
        return dict(line, error=error)
    preds = found[0]["preds"]
    if kind in GIVES_TIMES:
        return dict(line, text=preds, tokens=found[0]["raw_tokens"], timestamp=found[0]["timestamp"])
    return dict(line, text=preds[0], tokens=preds[1])


def goldens(directory, recordings):
    logging.disable(logging.CRITICAL)
    name = os.path.basename(os.path.normpath(directory))
    with open(os.path.join(directory, "config.yaml"), encoding="utf-8") as f:
        kind = {class_name: kind for kind, class_name in CLASSES.items()}[yaml.safe_load(f)["model"]]
    for precision, graph in (("int8", "model_quant.onnx"), ("float32", "model.onnx")):
        if not os.path.exists(os.path.join(directory, graph)):
            continue
        with tempfile.TemporaryDirectory() as folder:
            # The reference wants the embedder in the precision of the other graph.
            for file in os.listdir(directory):
                shutil.copy(os.path.join(directory, file), folder)
            if kind in TAKES_HOTWORDS:
                shutil.copy(os.path.join(directory, "model_eb.onnx"), os.path.join(folder, "model_eb_quant.onnx"))
            model = recogniser(folder, kind, precision == "int8")
            speech = len(read_wav(AUDIO / "speech.wav"))
            others = [("speech.wav", samples, samples // speech + 1, PRESENT) for samples in OTHER_SAMPLES]
            others += [(RECORDING, len(read_wav(os.path.join(recordings, RECORDING))), 1, PRESENT)] if recordings else []
            for audio, samples, repeat, hotwords in [*cases(kind), *others]:
                case = dict(audio=audio, samples=samples, repeat=repeat)
                folder_of = pathlib.Path(recordings) if audio == RECORDING else AUDIO
                hotwords = hotwords if kind in TAKES_HOTWORDS else ""
                found = result(model, kind, audio_of(case, folder_of), hotwords)
                if found.get("margin", LEAST_MARGIN) < LEAST_MARGIN:
                    continue
                yield dict(model=name, kind=kind, precision=precision, **case, hotwords=hotwords, **found)


def remake_test_data(recordings):
    for name, (kind, seed, specials, graphs) in TEST_MODELS.items():
        with tempfile.TemporaryDirectory() as made:
            make(made, kind, seed, specials)
            copy_files(pathlib.Path(made), MODELS / name, ["config.yaml", "am.mvn", "tokens.json", *graphs])
    write_lines(GOLDENS / "offline.jsonl", [line for name in TEST_MODELS for line in goldens(MODELS / name, recordings)])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folders", nargs="*", metavar="OUT")
    ap.add_argument("--kind", choices=sorted(CLASSES))
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--specials", action="store_true")
    ap.add_argument("--goldens", action="store_true")
    ap.add_argument("--test-data", action="store_true")
    ap.add_argument("--recordings", metavar="DIR")
    a = ap.parse_args()
    if a.test_data:
        remake_test_data(a.recordings)
    elif a.goldens and a.folders and not a.kind:
        for folder in a.folders:
            for line in goldens(folder, a.recordings):
                print(json.dumps(line, ensure_ascii=False), flush=True)
    elif a.kind and len(a.folders) == 1 and not a.goldens:
        make(a.folders[0], a.kind, a.seed, a.specials)
    else:
        ap.error("--test-data, OUT and --kind, or --goldens and models")


if __name__ == "__main__":
    main()
