//! The configuration of a FSMN-VAD: what its `config.yaml` or `vad.yaml` says, and what the engine requires.

use std::path::Path;

use super::detector::DetectorOptions;
use super::vad::WINDOW_FRAMES;
use crate::engine::config::Reader;
use crate::engine::yaml::Yaml;
use crate::engine::{Error, Result};

/// The longest time that a setting may have, in ms.
const LONGEST_MS: f64 = 600_000.0;

/// What a configuration says.
#[derive(Debug, Clone, PartialEq)]
pub struct VadConfig {
    /// The thresholds. The silence that ends a segment and the longest segment are left to the stream.
    pub options: DetectorOptions,
    /// The columns of the network's output that are silence (`sil_pdf_ids`).
    pub silence_ids: Vec<usize>,
}

impl VadConfig {
    /// Reads the v2 form (`model_conf`) and the legacy form (`vad_post_conf`).
    ///
    /// Errors: [`Error::Model`] naming `file`, where a number is none, or where the front end or a rule is another than
    /// the engine's.
    pub fn from_yaml(file: &Path, yaml: &Yaml) -> Result<Self> {
        let reader = Reader { file, yaml };
        reader.require_frontend(WINDOW_FRAMES as usize, 1)?;
        let section = if yaml.get("vad_post_conf").is_some() { "vad_post_conf" } else { "model_conf" };
        if yaml.get(section).and_then(|section| section.get("speech_noise_thres")).is_none() {
            let expected = "the settings of a FSMN-VAD (speech_noise_thres in model_conf or vad_post_conf)";
            return Err(Error::model(file, expected, "none"));
        }
        // Loudness plays no part in the published model.
        let fixed = [
            ("frame_in_ms", 10.0),
            ("detect_mode", 1.0),
            ("do_extend", 1.0),
            ("snr_thres", -100.0),
            ("decibel_thres", -100.0),
        ];
        for (key, value) in fixed {
            let found: Option<f64> = reader.number(section, key)?;
            if let Some(found) = found.filter(|&found| found != value) {
                return Err(Error::model(file, format!("{section}.{key} to be {value}"), found.to_string()));
            }
        }
        let ms = |key: &str, least: f64, default: u64| -> Result<u64> {
            let found: f64 = reader.number(section, key)?.unwrap_or(default as f64);
            if !(least..=LONGEST_MS).contains(&found) {
                let expected = format!("{section}.{key} to be {least} to {LONGEST_MS} ms");
                return Err(Error::model(file, expected, found.to_string()));
            }
            Ok(found as u64)
        };
        let defaults = DetectorOptions::default();
        let options = DetectorOptions {
            max_end_silence_ms: None,
            max_segment_ms: None,
            window_ms: ms("window_size_ms", 10.0, defaults.window_ms)?,
            silence_to_speech_ms: ms("sil_to_speech_time_thres", 10.0, defaults.silence_to_speech_ms)?,
            speech_to_silence_ms: ms("speech_to_sil_time_thres", 0.0, defaults.speech_to_silence_ms)?,
            look_back_ms: ms("lookback_time_start_point", 0.0, defaults.look_back_ms)?,
            look_ahead_ms: ms("lookahead_time_end_point", 0.0, defaults.look_ahead_ms)?,
            speech_noise_threshold: reader
                .number(section, "speech_noise_thres")?
                .unwrap_or(defaults.speech_noise_threshold),
            speech_to_noise_ratio: reader
                .number(section, "speech_2_noise_ratio")?
                .unwrap_or(defaults.speech_to_noise_ratio),
        };
        Ok(Self { options, silence_ids: silence_ids(reader, section)? })
    }
}

fn silence_ids(reader: Reader<'_>, section: &str) -> Result<Vec<usize>> {
    let Some(Yaml::Sequence(items)) = reader.yaml.get(section).and_then(|section| section.get("sil_pdf_ids")) else {
        return Ok(vec![0]);
    };
    let ids: Option<Vec<usize>> = items.iter().map(|item| item.scalar()?.parse().ok()).collect();
    ids.filter(|ids| !ids.is_empty()).ok_or_else(|| {
        Error::model(reader.file, format!("{section}.sil_pdf_ids to be a list of numbers"), format!("{items:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "model: FsmnVADStreaming\nfrontend_conf:\n  fs: 16000\n  lfr_m: 5\n  lfr_n: 1\nmodel_conf:\n  speech_noise_thres: 0.7\n  sil_pdf_ids:\n  - 0\n  - 3\n  snr_thres: -100.0\n";

    fn read(text: &str) -> Result<VadConfig> {
        let file = Path::new("config.yaml");
        VadConfig::from_yaml(file, &Yaml::parse(file, text)?)
    }

    #[test]
    fn both_forms_and_defaults() {
        let v2 = read(V2).unwrap();
        assert_eq!((v2.options.speech_noise_threshold, v2.silence_ids.as_slice()), (0.7, [0, 3].as_slice()));
        assert_eq!(read(&V2.replace("model_conf", "vad_post_conf")).unwrap(), v2);
        assert_eq!((v2.options.window_ms, v2.options.max_segment_ms), (200, None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |from: &str, to: &str| read(&V2.replace(from, to)).unwrap_err().to_string();
        assert_eq!(message("lfr_m: 5", "lfr_m: 7"), "config.yaml: expected frontend_conf.lfr_m to be 5, found 7");
        assert_eq!(message("-100.0", "3"), "config.yaml: expected model_conf.snr_thres to be -100, found 3");
        assert!(message("model_conf", "other").contains("settings of a FSMN-VAD"));
        assert!(message("- 3", "- x").contains("sil_pdf_ids to be a list of numbers"));
        let window = message("snr_thres: -100.0", "window_size_ms: 0");
        assert_eq!(window, "config.yaml: expected model_conf.window_size_ms to be 10 to 600000 ms, found 0");
    }
}
