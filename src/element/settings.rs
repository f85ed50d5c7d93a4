//! What the user sets, and what it asks of the engine and its runtime.

use gst::glib;
use gst::prelude::*;

use super::{CaptionMode, ExecutionProvider, Output, Precision, Spacing};
use crate::captions::Shape;
use crate::engine::{self, ChunkSize, StreamOptions, detokenizer};

/// What the user sets.
#[derive(Debug, Clone)]
pub struct Settings {
    pub model_path: Option<String>,
    pub chunk_size: Vec<i32>,
    pub precision: Precision,
    pub threads: u32,
    pub latency_ms: u32,
    pub lateness_ms: u32,
    pub language_code: String,
    pub output: Output,
    pub caption_mode: CaptionMode,
    pub shape: Shape,
    pub endpoint_silence_ms: u32,
    pub max_utterance_ms: u32,
    pub partial_results: bool,
    pub spacing: Spacing,
    pub vad_model_path: Option<String>,
    pub punctuation_model_path: Option<String>,
    pub offline_model_path: Option<String>,
    pub hotwords: Option<String>,
    pub inverse_text_normalization: bool,
    pub min_confidence: f64,
    pub max_queue_ms: u32,
    pub runtime_library: Option<String>,
    pub execution_provider: ExecutionProvider,
}

impl Default for Settings {
    fn default() -> Self {
        let stream = StreamOptions::default();
        Self {
            model_path: None,
            chunk_size: vec![5, 10, 5],
            precision: Precision::default(),
            threads: 0,
            latency_ms: 500,
            lateness_ms: 0,
            language_code: "zh-CN".into(),
            output: Output::default(),
            caption_mode: CaptionMode::default(),
            shape: Shape::default(),
            endpoint_silence_ms: stream.endpoint_silence_ms,
            max_utterance_ms: stream.max_utterance_ms,
            partial_results: true,
            spacing: Spacing::default(),
            vad_model_path: None,
            punctuation_model_path: None,
            offline_model_path: None,
            hotwords: None,
            inverse_text_normalization: true,
            min_confidence: 0.0,
            max_queue_ms: 5000,
            runtime_library: None,
            execution_provider: ExecutionProvider::default(),
        }
    }
}

impl Settings {
    /// The windows. Errors: [`engine::Error::Setting`].
    pub fn windows(&self) -> engine::Result<ChunkSize> {
        match self.chunk_size[..] {
            [left, stride, look_ahead] => ChunkSize::new(left.into(), stride.into(), look_ahead.into()),
            _ => Err(engine::Error::Setting {
                name: "chunk-size",
                value: format!("{:?}", self.chunk_size),
                expected: "three numbers, <left context, stride, look-ahead>, in frames of 60 ms".into(),
            }),
        }
    }

    /// How the stream is recognised. Errors: [`engine::Error::Setting`].
    pub fn stream_options(&self) -> engine::Result<StreamOptions> {
        Ok(StreamOptions {
            chunk_size: self.windows()?,
            endpoint_silence_ms: self.endpoint_silence_ms,
            max_utterance_ms: self.max_utterance_ms,
            spacing: self.engine_spacing(),
            preview: true,
            keep_frames: given(&self.offline_model_path),
        })
    }

    /// Whether final text is made when an utterance has ended, and not as it is spoken.
    pub fn rewrites_finals(&self) -> bool {
        [&self.offline_model_path, &self.punctuation_model_path, &self.hotwords].into_iter().any(given)
    }

    /// What stands between Chinese and English.
    pub fn engine_spacing(&self) -> detokenizer::Spacing {
        match self.spacing {
            Spacing::None => detokenizer::Spacing::None,
            Spacing::Space => detokenizer::Spacing::Space,
        }
    }

    /// The ISO 639 part of the language code; none where it has none.
    pub fn language(&self) -> Option<&str> {
        self.language_code.split(['-', '_']).next().filter(|code| !code.is_empty())
    }

    /// Takes the value of the property `name`.
    pub fn set(
        &mut self,
        name: &str,
        value: &glib::Value,
    ) -> Result<(), glib::value::ValueTypeMismatchOrNoneError<glib::value::ValueTypeMismatchError>> {
        match name {
            "model-path" => self.model_path = text(value),
            "chunk-size" => {
                self.chunk_size = value.get::<gst::Array>()?.iter().filter_map(|item| item.get().ok()).collect();
            }
            "precision" => self.precision = value.get()?,
            "threads" => self.threads = value.get()?,
            "latency" => self.latency_ms = value.get()?,
            "lateness" => self.lateness_ms = value.get()?,
            "language-code" => self.language_code = text(value).unwrap_or_default(),
            "output" => self.output = value.get()?,
            "caption-mode" => self.caption_mode = value.get()?,
            "max-line-chars" => self.shape.max_line_chars = value.get()?,
            "max-lines" => self.shape.max_lines = value.get()?,
            "max-caption-duration" => self.shape.max_duration_ms = value.get()?,
            "min-caption-duration" => self.shape.min_duration_ms = value.get()?,
            "max-reading-speed" => self.shape.max_reading_speed = value.get()?,
            "endpoint-silence" => self.endpoint_silence_ms = value.get()?,
            "max-utterance-duration" => self.max_utterance_ms = value.get()?,
            "partial-results" => self.partial_results = value.get()?,
            "spacing" => self.spacing = value.get()?,
            "vad-model-path" => self.vad_model_path = text(value),
            "punctuation-model-path" => self.punctuation_model_path = text(value),
            "offline-model-path" => self.offline_model_path = text(value),
            "hotwords" => self.hotwords = text(value),
            "inverse-text-normalization" => self.inverse_text_normalization = value.get()?,
            "min-confidence" => self.min_confidence = value.get()?,
            "max-queue-time" => self.max_queue_ms = value.get()?,
            "runtime-library" => self.runtime_library = text(value),
            "execution-provider" => self.execution_provider = value.get()?,
            _ => {}
        }
        Ok(())
    }

    /// The value of the property `name`; none where it is no setting.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "model-path" => self.model_path.to_value(),
            "chunk-size" => gst::Array::new(self.chunk_size.iter().map(|rows| rows.to_send_value())).to_value(),
            "precision" => self.precision.to_value(),
            "threads" => self.threads.to_value(),
            "latency" => self.latency_ms.to_value(),
            "lateness" => self.lateness_ms.to_value(),
            "language-code" => self.language_code.to_value(),
            "output" => self.output.to_value(),
            "caption-mode" => self.caption_mode.to_value(),
            "max-line-chars" => self.shape.max_line_chars.to_value(),
            "max-lines" => self.shape.max_lines.to_value(),
            "max-caption-duration" => self.shape.max_duration_ms.to_value(),
            "min-caption-duration" => self.shape.min_duration_ms.to_value(),
            "max-reading-speed" => self.shape.max_reading_speed.to_value(),
            "endpoint-silence" => self.endpoint_silence_ms.to_value(),
            "max-utterance-duration" => self.max_utterance_ms.to_value(),
            "partial-results" => self.partial_results.to_value(),
            "spacing" => self.spacing.to_value(),
            "vad-model-path" => self.vad_model_path.to_value(),
            "punctuation-model-path" => self.punctuation_model_path.to_value(),
            "offline-model-path" => self.offline_model_path.to_value(),
            "hotwords" => self.hotwords.to_value(),
            "inverse-text-normalization" => self.inverse_text_normalization.to_value(),
            "min-confidence" => self.min_confidence.to_value(),
            "max-queue-time" => self.max_queue_ms.to_value(),
            "runtime-library" => self.runtime_library.to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            _ => return None,
        })
    }
}

fn text(value: &glib::Value) -> Option<String> {
    value.get::<Option<String>>().ok().flatten()
}

/// Whether there is a text, and something in it.
fn given(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}
