"""FunASR's classes and its ONNX export, with int8 quantisation as in the published models."""
import json
import sys
import types

import onnx
import torch
import yaml
from onnxruntime.quantization import QuantType, quantize_dynamic


def build(conf, vocabulary, **more):
    """FunASR's model of a configuration. It imports torchaudio and needs none of it here: a stub stands in."""
    for name in ("torchaudio", "torchaudio.compliance", "torchaudio.compliance.kaldi", "torchaudio.transforms"):
        sys.modules.setdefault(name, types.ModuleType(name))
    import funasr.models.bicif_paraformer.model  # noqa: F401
    import funasr.models.ct_transformer_streaming.encoder  # noqa: F401
    import funasr.models.ct_transformer_streaming.model  # noqa: F401
    import funasr.models.ctc.ctc  # noqa: F401
    import funasr.models.paraformer.decoder  # noqa: F401
    import funasr.models.sanm.encoder  # noqa: F401
    from funasr.register import tables
    return tables.model_classes.get(conf["model"])(**{**conf, **conf["model_conf"]}, vocab_size=vocabulary, **more)


def without_dropout(module):
    """Dropout is slow on a CPU, and these models are too small to need it."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Dropout):
            setattr(module, name, torch.nn.Identity())
        else:
            without_dropout(child)
    return module


def write(model, conf, out, tokens, keep_float=False, graph=None):
    """model_quant.onnx (and model.onnx), config.yaml and tokens.json of a model; `graph` is one rebuilt for export."""
    out.mkdir(parents=True, exist_ok=True)
    graph = graph or model.export(encoder=conf["encoder"], predictor=conf.get("predictor"), decoder=conf.get("decoder"),
                                  type="onnx")
    path = out / "model.onnx"
    with torch.no_grad():
        # The exporter of torch 2.9 and later (dynamo) fails on Paraformer.
        torch.onnx.export(graph.eval(), tuple(graph.export_dummy_inputs()), path, opset_version=14, do_constant_folding=True,
                          input_names=graph.export_input_names(), output_names=graph.export_output_names(),
                          dynamic_axes=graph.export_dynamic_axes(), dynamo=False)
    exact = [n.name for n in onnx.load(path).graph.node
             if any(k in n.name for k in ("output", "bias_encoder", "bias_decoder"))]
    quantize_dynamic(path, out / "model_quant.onnx", op_types_to_quantize=["MatMul"], per_channel=True,
                     reduce_range=False, weight_type=QuantType.QUInt8, nodes_to_exclude=exact)
    if not keep_float:
        path.unlink()
    (out / "config.yaml").write_text(yaml.safe_dump(conf, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (out / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False), encoding="utf-8")
