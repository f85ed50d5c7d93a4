"""Build small CT-Transformers for punctuation with FunASR's own classes and graph code; print what funasr_onnx gives for them.

    make_punctuation.py OUT --kind realtime|offline [--seed N] [--endless]         a model
    make_punctuation.py --goldens MODEL_DIR ...                                    texts and their marks
    make_punctuation.py --data                                                     both, for tests/data

A model has the published ones' files, inputs and outputs, 16 channels and random weights: which marks it sets means nothing,
but neighbours, masks and what was said before all change them. With --endless it hardly ever ends a sentence.
A golden is one JSON line: {"model", "graph", "calls": [{"text", "out", "marks", "cached", "runs", "past"}, ...], "margin"}.
"text" is what goes in and "out" what comes out; "marks" are the classes that funasr_onnx returns, "cached" how many words it
keeps for the next call (realtime), "runs" the classes of each run of the graph, a digit for each word, and "past" the words that the masks hold
to be past. Where funasr_onnx fails, "error" takes the place of its results. "margin" is the least distance of the best class
to the next one.
"""
import argparse
import json
import logging
import os
import pathlib
import random
import sys
import types
import warnings

warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402
import yaml  # noqa: E402

DIM, HEADS, UNITS, BLOCKS = 16, 4, 32, 2
WORDS = ["hello", "world", "ok", "good", "the", "is", "a", "3"]
# The published offline list has ASCII marks, which stand for the full-width ones.
MARKS = {"realtime": ["<unk>", "_", "，", "。", "？", "、"], "offline": ["<unk>", "_", ",", "。", "?", "、"]}
LEVELS = [-30.0, 4.0, 1.0, 0.5, -1.0, -0.5]
ENDLESS = [-30.0, 4.0, -0.5, -30.0, -30.0, -0.5]
LENGTHS = [1, 2, 3, 4, 5, 19, 20, 21, 22, 39, 40, 41, 42, 60, 61, 120]
# A tie that another processor might decide otherwise.
LEAST_MARGIN = 1e-4
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Kind, seed and whether it is endless. With these seeds sentences end also after ASCII words.
MODELS = {"punctuation-realtime-1": ("realtime", 1, False), "punctuation-realtime-2": ("realtime", 2, True),
          "punctuation-offline-1": ("offline", 5, False), "punctuation-offline-2": ("offline", 2, True)}


def vocabulary():
    """The characters of the demonstration model, so that what it hears can be punctuated; the last entry is the unknown word."""
    pieces = json.loads((ROOT / "models/demo/tokens.json").read_text(encoding="utf-8"))
    return [piece for piece in pieces if not piece.isascii()] + WORDS + ["<unk>"]


def configuration(kind):
    realtime = kind == "realtime"
    encoder = dict(input_size=DIM, output_size=DIM, attention_heads=HEADS, linear_units=UNITS, num_blocks=BLOCKS, dropout_rate=0.1,
                   positional_dropout_rate=0.1, attention_dropout_rate=0.0, input_layer="pe",
                   pos_enc_class="SinusoidalPositionEncoder", normalize_before=True, kernel_size=11,
                   sanm_shfit=5 if realtime else 0, selfattention_layer_type="sanm", padding_idx=0)
    model = dict(ignore_id=0, embed_unit=DIM, att_unit=DIM, dropout_rate=0.1, punc_list=MARKS[kind], punc_weight=[1.0] * 6,
                 sentence_end_id=3)
    return dict(model="CTTransformerStreaming" if realtime else "CTTransformer", model_conf=model,
                encoder="SANMVadEncoder" if realtime else "SANMEncoder", encoder_conf=encoder,
                tokenizer="CharTokenizer", tokenizer_conf=dict(unk_symbol="<unk>"))


def exported(config, size):
    """The graph of FunASR's export, from its own classes."""
    # What the classes import but never call here.
    for name in ("torchaudio", "torchaudio.compliance", "torchaudio.compliance.kaldi", "torchaudio.transforms"):
        sys.modules.setdefault(name, types.ModuleType(name))
    import funasr.models.ct_transformer.model  # noqa: F401
    import funasr.models.ct_transformer_streaming.encoder  # noqa: F401
    import funasr.models.ct_transformer_streaming.model  # noqa: F401
    import funasr.models.sanm.encoder  # noqa: F401
    from funasr.register import tables

    settings = {key: value for key, value in config.items() if key != "model"}
    model = tables.model_classes[config["model"]](**settings, **config["model_conf"], vocab_size=size).eval()
    graph = model.export(type="onnx", device="cpu", **settings)
    return (graph[0] if isinstance(graph, tuple) else graph).eval()


def tune(graph, size, levels):
    """Attention that chooses, and classes with these mean scores: of raw random weights one class would always win."""
    import torch

    for name, weight in graph.encoder.named_parameters():
        if name.endswith(("self_attn.linear_q_k_v.weight", "self_attn.linear_out.weight")):
            weight.mul_(3)
    words = 240
    inputs = [torch.randint(size, (1, words), dtype=torch.int32), torch.tensor([words], dtype=torch.int32)]
    inputs += [torch.ones(1, 1, words, words)] * (len(graph.export_input_names()) - 2)
    scores = graph(*inputs)[0]
    layer = graph.decoder
    scale = 2.0 / scores.std(0).mean()
    layer.bias.copy_(torch.tensor(levels) - scale * (scores - layer.bias).mean(0))
    layer.weight.mul_(scale)


def make(out, kind, seed, endless=False):
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokens, config = vocabulary(), configuration(kind)
    graph = exported(config, len(tokens))
    path = os.path.join(out, "model.onnx")
    with torch.no_grad():
        tune(graph, len(tokens), ENDLESS if endless else LEVELS)
        torch.onnx.export(graph, graph.export_dummy_inputs(), path, opset_version=14, do_constant_folding=True,
                          input_names=graph.export_input_names(), output_names=graph.export_output_names(),
                          dynamic_axes=graph.export_dynamic_axes(), dynamo=False)
    # As FunASR's export: the output layer stays as it is, and so does the embedding, which is no product.
    import onnx

    kept = [node.name for node in onnx.load(path).graph.node if "output" in node.name]
    quantize_dynamic(path, os.path.join(out, "model_quant.onnx"), op_types_to_quantize=["MatMul"], per_channel=True,
                     reduce_range=False, weight_type=QuantType.QUInt8, nodes_to_exclude=kept)
    with open(os.path.join(out, "config.yaml"), "w", encoding="utf-8") as f:
        yaml.safe_dump(config, f, sort_keys=False, allow_unicode=True)
    with open(os.path.join(out, "tokens.json"), "w", encoding="utf-8") as f:
        json.dump(tokens, f, ensure_ascii=False)


def text_of(words):
    """A text of so many words, and spaces where they keep words apart."""
    parted = lambda i: i > 0 and words[i].isascii() and words[i - 1].isascii()  # noqa: E731
    return "".join(" " + word if parted(i) else word for i, word in enumerate(words))


def texts(tokens, seed):
    """What is punctuated: a list of calls, each a text, for each stream."""
    chance = random.Random(seed)
    draw = lambda many, pool: text_of([chance.choice(pool) for _ in range(many)])  # noqa: E731
    characters = [token for token in tokens if not token.isascii()]
    mixed = characters + 12 * WORDS + ["foo_", "zyx"] + 3 * ["囧"]
    streams = [[draw(length, characters)] for length in LENGTHS] + [[draw(length, mixed)] for length in LENGTHS]
    streams += [[draw(length, mixed)] for length in (199, 205, 260, 333)] + [[draw(60, WORDS)] for _ in range(3)]
    streams += [[""], ["  "], ["hello"], ["foo_"], ["，"], ["今天天气很好hello", "world 我们去公园"], ["今天", "", "天气"]]
    streams += [["今天", "天气", "很好", "我", "们", "去", "公", "园"], ["hello", "world", "good", "ok"]]
    for _ in range(6):
        streams.append([draw(chance.randint(1, 45), mixed) for _ in range(chance.randint(2, 9))])
    # What is left over grows, and is cut at commas where no sentence ends.
    streams += [[draw(70, mixed) for _ in range(6)], [draw(250, mixed), draw(30, mixed), draw(230, mixed), draw(5, mixed)]]
    return streams


class Watched:
    """A session of funasr_onnx that keeps what went through it."""

    def __init__(self, session):
        self.session, self.runs, self.past, self.margin = session, [], 0, np.inf

    def __call__(self, inputs, *rest):
        outputs = self.session(inputs, *rest)
        scores = np.sort(outputs[0][0], axis=-1)
        self.margin = min(self.margin, float((scores[:, -1] - scores[:, -2]).min()))
        self.runs.append("".join(map(str, outputs[0][0].argmax(-1))))
        return outputs


def call(model, text, state):
    """One call; the state is none for an offline model."""
    session = model.ort_infer
    watched = model.ort_infer = Watched(session)
    line = dict(text=text, past=len(state["cache"]) if state else 0)
    try:
        found = model(text, param_dict=state) if state is not None else model(text)
        line.update(out=found[0], marks="".join(map(str, found[1])), runs=watched.runs)
        if state is not None:
            # The realtime class returns the marks themselves.
            line["marks"] = "".join(str(model.punc_list.index(mark)) for mark in found[1])
            line["cached"] = len(found[2])
    except Exception as e:  # what funasr_onnx cannot do is part of the golden
        line.update(error=f"{type(e).__name__}: {e}")
    model.ort_infer = session
    return line, watched.margin


def goldens(directory):
    """The lines of a model, for each of its graphs: of the first texts in which nothing is decided by next to nothing."""
    from funasr_onnx import punc_bin

    logging.disable(logging.CRITICAL)
    directory = pathlib.Path(directory)
    realtime = "realtime" in directory.name
    tokens = json.loads((directory / "tokens.json").read_text(encoding="utf-8"))
    kind = punc_bin.CT_Transformer_VadRealtime if realtime else punc_bin.CT_Transformer
    for graph in ("model.onnx", "model_quant.onnx"):
        if not (directory / graph).exists():
            continue
        model = kind(str(directory), quantize="quant" in graph, intra_op_num_threads=1)
        for seed in range(100):
            lines = []
            for stream in texts(tokens, seed):
                if not realtime and len(stream) > 1:
                    continue
                state = {"cache": []} if realtime else None
                calls, margins = zip(*[call(model, text, state) for text in stream])
                lines.append(dict(model=directory.name, graph=graph, calls=list(calls), margin=min(*margins, 99)))
            if min(line["margin"] for line in lines) >= LEAST_MARGIN:
                break
        else:
            raise SystemExit(f"{directory} {graph}: no texts without a tie")
        yield from (dict(line, margin=round(line["margin"], 5)) for line in lines)


def remake_data():
    """The models of the tests, one of each kind also quantised, and their goldens."""
    data = ROOT / "tests/data"
    for name, (kind, seed, endless) in MODELS.items():
        make(data / "models" / name, kind, seed, endless)
        if endless:
            (data / "models" / name / "model_quant.onnx").unlink()
    with open(data / "goldens/punctuation.jsonl", "w", encoding="utf-8") as f:
        for name in MODELS:
            write_lines(f, data / "models" / name)


def write_lines(out, directory):
    for line in goldens(directory):
        print(json.dumps(line, ensure_ascii=False), file=out, flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("directories", nargs="*", metavar="DIR")
    ap.add_argument("--goldens", action="store_true")
    ap.add_argument("--data", action="store_true")
    ap.add_argument("--kind", choices=MARKS)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--endless", action="store_true")
    a = ap.parse_args()
    if a.goldens + a.data + bool(a.kind) != 1 or bool(a.directories) == a.data:
        ap.error("OUT and --kind, or --goldens and models, or --data")
    if a.data:
        remake_data()
    elif a.goldens:
        for directory in a.directories:
            write_lines(sys.stdout, directory)
    else:
        make(a.directories[0], a.kind, a.seed, a.endless)


if __name__ == "__main__":
    main()
