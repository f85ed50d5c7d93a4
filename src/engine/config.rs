//! The configuration of a model: what `config.yaml` or the metadata of a graph says, and what the engine requires.

use std::path::Path;

use super::frontend::{LFR_SHIFT, LFR_WINDOW, MEL_BINS};
use super::yaml::Yaml;
use super::{Error, Result};

/// What a configuration says; nothing where it is silent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// Width of the encoder's rows (`encoder_conf.output_size`).
    pub encoder_dim: Option<usize>,
    /// Decoder layers with an FSMN cache (`decoder_conf.num_blocks`).
    pub decoder_layers: Option<usize>,
    /// Taps of the decoder's FSMN (`decoder_conf.kernel_size`); the cache holds one less.
    pub decoder_kernel: Option<usize>,
    /// The sum of alphas at which a token fires (`predictor_conf.threshold`).
    pub cif_threshold: f32,
    /// The alpha that tops up the last token (`predictor_conf.tail_threshold`).
    pub cif_tail_threshold: f32,
    /// Entries of the vocabulary, where the configuration says so (sherpa-onnx).
    pub vocabulary_size: Option<usize>,
}

impl Config {
    /// What FunASR's streaming models have, and all that a sherpa-onnx model leaves unsaid.
    pub fn new() -> Self {
        Self { cif_threshold: 1.0, cif_tail_threshold: 0.45, ..Self::default() }
    }

    /// Reads FunASR's `config.yaml` (or `asr.yaml`), in its v2 and its legacy form.
    ///
    /// Errors: [`Error::Model`] naming `file`, where a number is none, or where the front end is another than the
    /// engine's (16 kHz, 80 mel bins of 25 ms every 10 ms, Hamming, stacks of 7 every 6).
    pub fn from_yaml(file: &Path, yaml: &Yaml) -> Result<Self> {
        let Yaml::Mapping(_) = yaml else {
            return Err(Error::model(file, "a FunASR configuration", "YAML without keys"));
        };
        let reader = Reader { file, yaml };
        reader.streaming()?;
        reader.require_frontend(LFR_WINDOW, LFR_SHIFT)?;
        let defaults = Self::new();
        let config = Self {
            encoder_dim: reader.number("encoder_conf", "output_size")?,
            // Layers beyond att_layer_num have caches as well.
            decoder_layers: reader.number("decoder_conf", "num_blocks")?,
            decoder_kernel: reader.number("decoder_conf", "kernel_size")?,
            cif_threshold: reader.number("predictor_conf", "threshold")?.unwrap_or(defaults.cif_threshold),
            cif_tail_threshold: reader
                .number("predictor_conf", "tail_threshold")?
                .unwrap_or(defaults.cif_tail_threshold),
            vocabulary_size: None,
        };
        config.checked(file)
    }

    /// Reads the metadata that sherpa-onnx writes into the encoder's graph.
    ///
    /// Errors: [`Error::Model`] naming `file`, where a key is missing, is no number, or asks for another front end.
    pub fn from_metadata(file: &Path, metadata: &[(String, String)]) -> Result<Self> {
        let number = |key: &str| -> Result<usize> {
            let text = metadata_value(file, metadata, key)?;
            text.trim()
                .parse()
                .map_err(|_| Error::model(file, format!("metadata {key} to be a number"), format!("\"{text}\"")))
        };
        for (key, value) in [("lfr_window_size", LFR_WINDOW), ("lfr_window_shift", LFR_SHIFT)] {
            let found = number(key)?;
            if found != value {
                return Err(Error::model(file, format!("metadata {key} to be {value}"), found.to_string()));
            }
        }
        let config = Self {
            encoder_dim: Some(number("encoder_output_size")?),
            decoder_layers: Some(number("decoder_num_blocks")?),
            decoder_kernel: Some(number("decoder_kernel_size")?),
            vocabulary_size: Some(number("vocab_size")?),
            ..Self::new()
        };
        config.checked(file)
    }

    fn checked(self, file: &Path) -> Result<Self> {
        let threshold = self.cif_threshold;
        if !(threshold.is_finite() && threshold > 0.0) {
            return Err(Error::model(file, "predictor_conf.threshold above 0", threshold.to_string()));
        }
        let tail = self.cif_tail_threshold;
        if !(tail.is_finite() && tail >= 0.0) {
            return Err(Error::model(file, "predictor_conf.tail_threshold of 0 or more", tail.to_string()));
        }
        Ok(self)
    }
}

/// The value of a metadata key that must be there.
pub fn metadata_value<'a>(file: &Path, metadata: &'a [(String, String)], key: &str) -> Result<&'a str> {
    let found = metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    found.ok_or_else(|| Error::model(file, format!("sherpa-onnx metadata {key}"), "none"))
}

/// Reads the values of a configuration, by section and key.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub file: &'a Path,
    pub yaml: &'a Yaml,
}

impl<'a> Reader<'a> {
    /// The text of a value; none where it is not there, or null.
    pub fn text(&self, section: &str, key: &str) -> Option<&'a str> {
        let text = self.yaml.get(section)?.get(key)?.scalar()?;
        (!matches!(text, "" | "~" | "null")).then_some(text)
    }

    /// The number that a value is. Errors: [`Error::Model`], where it is none.
    pub fn number<T: std::str::FromStr>(&self, section: &str, key: &str) -> Result<Option<T>> {
        let Some(text) = self.text(section, key) else { return Ok(None) };
        let number = text
            .parse()
            .map_err(|_| Error::model(self.file, format!("{section}.{key} to be a number"), format!("\"{text}\"")))?;
        Ok(Some(number))
    }

    /// Requires the engine's front end, with stacks of `window` frames every `shift`. Errors: [`Error::Model`].
    pub fn require_frontend(&self, window: usize, shift: usize) -> Result<()> {
        let required: [(&str, f64); 6] = [
            ("fs", 16000.0),
            ("n_mels", MEL_BINS as f64),
            ("frame_length", 25.0),
            ("frame_shift", 10.0),
            ("lfr_m", window as f64),
            ("lfr_n", shift as f64),
        ];
        for (key, value) in required {
            let found: Option<f64> = self.number("frontend_conf", key)?;
            if found.is_some_and(|found| found != value) {
                let expected = format!("frontend_conf.{key} to be {value}");
                return Err(Error::model(self.file, expected, found.unwrap_or_default().to_string()));
            }
        }
        match self.text("frontend_conf", "window").filter(|window| *window != "hamming") {
            Some(window) => Err(Error::model(self.file, "frontend_conf.window to be hamming", window)),
            None => Ok(()),
        }
    }

    /// Refuses what is another kind of model, by the classes that FunASR names.
    fn streaming(&self) -> Result<()> {
        let class = |key: &str| self.yaml.get(key).and_then(Yaml::scalar).unwrap_or_default();
        let (model, encoder) = (class("model"), class("encoder"));
        let other = |what: &str| {
            let expected = "a streaming Paraformer (model ParaformerStreaming, encoder SANMEncoderChunkOpt)";
            Err(Error::model(self.file, expected, what))
        };
        match (model, encoder) {
            (_, "SANMEncoderChunkOpt" | "sanm_chunk_opt") | ("ParaformerStreaming" | "paraformer_online", _) => Ok(()),
            ("", "") => Ok(()),
            (model, "") => other(&format!("model {model}")),
            (model, encoder) => other(&format!("model {model}, encoder {encoder}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "model: ParaformerStreaming\nencoder: SANMEncoderChunkOpt\nencoder_conf:\n  output_size: 512\ndecoder_conf:\n  num_blocks: 16\n  att_layer_num: 16\n  kernel_size: 11\npredictor_conf:\n  threshold: 1.0\n  tail_threshold: 0.45\nfrontend_conf:\n  fs: 16000\n  window: hamming\n  n_mels: 80\n  frame_length: 25\n  frame_shift: 10\n  lfr_m: 7\n  lfr_n: 6\n";

    fn read(text: &str) -> Result<Config> {
        let file = Path::new("config.yaml");
        Config::from_yaml(file, &Yaml::parse(file, text)?)
    }

    #[test]
    fn v2_and_silent_configurations() {
        let config = read(V2).unwrap();
        let sizes = (config.encoder_dim, config.decoder_layers, config.decoder_kernel);
        assert_eq!(sizes, (Some(512), Some(16), Some(11)));
        assert_eq!((config.cif_threshold, config.cif_tail_threshold), (1.0, 0.45));
        assert_eq!(read("lang: zh\n").unwrap(), Config::new());
    }

    #[test]
    fn another_front_end_or_model_is_refused() {
        let message = |from: &str, to: &str| read(&V2.replace(from, to)).unwrap_err().to_string();
        assert_eq!(message("fs: 16000", "fs: 8000"), "config.yaml: expected frontend_conf.fs to be 16000, found 8000");
        assert_eq!(message("lfr_m: 7", "lfr_m: 5"), "config.yaml: expected frontend_conf.lfr_m to be 7, found 5");
        assert_eq!(
            message("hamming", "povey"),
            "config.yaml: expected frontend_conf.window to be hamming, found povey"
        );
        assert_eq!(
            message("threshold: 1.0", "threshold: 0"),
            "config.yaml: expected predictor_conf.threshold above 0, found 0"
        );
        assert_eq!(
            message("output_size: 512", "output_size: x"),
            "config.yaml: expected encoder_conf.output_size to be a number, found \"x\""
        );
        let offline = V2.replace("ParaformerStreaming", "Paraformer").replace("SANMEncoderChunkOpt", "SANMEncoder");
        assert!(read(&offline).unwrap_err().to_string().ends_with("found model Paraformer, encoder SANMEncoder"));
    }

    #[test]
    fn sherpa_metadata() {
        let mut metadata: Vec<(String, String)> = [
            ("vocab_size", "8404"),
            ("lfr_window_size", "7"),
            ("lfr_window_shift", "6"),
            ("encoder_output_size", "512"),
            ("decoder_num_blocks", "16"),
            ("decoder_kernel_size", "11"),
        ]
        .map(|(k, v)| (k.into(), v.into()))
        .to_vec();
        let file = Path::new("encoder.onnx");
        assert_eq!(Config::from_metadata(file, &metadata).unwrap().decoder_kernel, Some(11));
        metadata[3].1 = "many".into();
        let error = Config::from_metadata(file, &metadata).unwrap_err().to_string();
        assert_eq!(error, "encoder.onnx: expected metadata encoder_output_size to be a number, found \"many\"");
        metadata.remove(3);
        let error = Config::from_metadata(file, &metadata).unwrap_err().to_string();
        assert_eq!(error, "encoder.onnx: expected sherpa-onnx metadata encoder_output_size, found none");
    }
}
