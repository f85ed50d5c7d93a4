//! The demonstration model that the plugin carries, so that it works without any setting. Its card says what it knows.

/// Said each time it is used.
pub const WARNING: &str = "no model-path: using the built-in demonstration model, which knows 491 characters and two kinds \
     of voice. For real speech set model-path to FunASR's published model (the README says how to get it)";

/// The files of the model's folder, by name.
pub const FILES: [(&str, &[u8]); 7] = [
    ("model_quant.onnx", include_bytes!("../../models/demo/model_quant.onnx")),
    ("decoder_quant.onnx", include_bytes!("../../models/demo/decoder_quant.onnx")),
    ("model.onnx", include_bytes!("../../models/demo/model.onnx")),
    ("decoder.onnx", include_bytes!("../../models/demo/decoder.onnx")),
    ("config.yaml", include_bytes!("../../models/demo/config.yaml")),
    ("am.mvn", include_bytes!("../../models/demo/am.mvn")),
    ("tokens.json", include_bytes!("../../models/demo/tokens.json")),
];
