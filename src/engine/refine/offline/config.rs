//! The configuration of an offline Paraformer: what its `config.yaml` says, and what the engine requires.

use std::path::Path;

use crate::engine::config::Reader;
use crate::engine::frontend::{LFR_SHIFT, LFR_WINDOW};
use crate::engine::yaml::Yaml;
use crate::engine::{Error, Result};

/// What a configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfflineConfig {
    /// Rows at the end of the result that are no tokens (`model_conf.predictor_bias`): the published models end in `</s>`.
    pub predictor_bias: usize,
}

impl OfflineConfig {
    /// Reads FunASR's `config.yaml`.
    ///
    /// Errors: [`Error::Model`] naming `file`, where a number is none, where the front end is another than the engine's,
    /// which serves both passes, or where words are written in a way that the engine does not join.
    pub fn from_yaml(file: &Path, yaml: &Yaml) -> Result<Self> {
        let reader = Reader { file, yaml };
        reader.require_frontend(LFR_WINDOW, LFR_SHIFT)?;
        let lang = yaml.get("lang").and_then(Yaml::scalar).unwrap_or_default();
        if lang == "en-bpe" {
            let expected = "pieces that end in @@ where a word goes on";
            return Err(Error::model(
                file,
                expected,
                "lang: en-bpe, whose pieces begin with \u{2581} where a word begins",
            ));
        }
        Ok(Self { predictor_bias: reader.number("model_conf", "predictor_bias")?.unwrap_or(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<usize, String> {
        let file = Path::new("config.yaml");
        let config = OfflineConfig::from_yaml(file, &Yaml::parse(file, text).unwrap());
        config.map(|config| config.predictor_bias).map_err(|e| e.to_string())
    }

    #[test]
    fn the_bias_is_0_where_nothing_is_said() {
        assert_eq!(read("model_conf:\n  predictor_bias: 1\nlang: zh-cn\n"), Ok(1));
        assert_eq!(read("model_conf:\n  ctc_weight: 0\n"), Ok(0));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |text: &str| read(text).unwrap_err();
        assert_eq!(error("frontend_conf:\n  lfr_n: 4\n"), "config.yaml: expected frontend_conf.lfr_n to be 6, found 4");
        assert_eq!(
            error("model_conf:\n  predictor_bias: -1\n"),
            "config.yaml: expected model_conf.predictor_bias to be a number, found \"-1\""
        );
        assert!(error("lang: en-bpe\n").contains("found lang: en-bpe"));
    }
}
