//! The properties, their defaults and their limits.

use std::path::PathBuf;
use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::{CaptionMode, ExecutionProvider, Output, Precision, Spacing};
use crate::captions::Shape;
use crate::engine::{self, ChunkSize, StreamOptions, detokenizer};
use crate::runtime::locate::Surroundings;
use crate::runtime::{LibraryRequest, ModelRequest, Provider};

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
        })
    }

    /// What stands between Chinese and English.
    pub fn engine_spacing(&self) -> detokenizer::Spacing {
        match self.spacing {
            Spacing::None => detokenizer::Spacing::None,
            Spacing::Space => detokenizer::Spacing::Space,
        }
    }

    /// The model and the library that are asked for. `beside` is the plugin's folder.
    pub fn model_request(&self, beside: Option<PathBuf>) -> ModelRequest {
        use crate::runtime::Precision as Graphs;
        let path = |text: &Option<String>| text.as_ref().filter(|text| !text.is_empty()).map(PathBuf::from);
        ModelRequest {
            source: Surroundings::of_process().locate(path(&self.model_path).as_deref()),
            precision: match self.precision {
                Precision::Auto => Graphs::Auto,
                Precision::Int8 => Graphs::Int8,
                Precision::Int8Exact => Graphs::Int8Exact,
                Precision::Float32 => Graphs::Float32,
            },
            library: LibraryRequest {
                path: path(&self.runtime_library),
                beside,
                threads: self.threads as usize,
                provider: match self.execution_provider {
                    ExecutionProvider::Cpu => Provider::Cpu,
                    ExecutionProvider::Cuda => Provider::Cuda,
                },
            },
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

/// The properties' specifications.
pub static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let defaults = Settings::default();
    let path = |name: &'static str, nick: &'static str, blurb: &'static str| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
    };
    let fixed = |name: &'static str, nick: &'static str, blurb: &'static str, default: u32| {
        glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).default_value(default).mutable_ready().build()
    };
    let live = |name: &'static str, nick: &'static str, blurb: &'static str, minimum: u32, default: u32| {
        let builder =
            glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).minimum(minimum).default_value(default);
        builder.mutable_playing().build()
    };
    let shape = &defaults.shape;
    vec![
        path(
            "model-path",
            "Model path",
            "Model folder, in FunASR's or sherpa-onnx's layout (null: $PARAFORMER_MODEL_PATH, else \
             ModelScope's cache, else the built-in demonstration model)",
        ),
        gst::ParamSpecArray::builder("chunk-size")
            .nick("Chunk size")
            .blurb(
                "Left context, stride and look-ahead, in frames of 60 ms. The model's own delay is \
                 stride + look-ahead (default <5,10,5>: 900 ms)",
            )
            .element_spec(&glib::ParamSpecInt::builder("frames").nick("Frames").blurb("Frames of 60 ms").build())
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("precision", defaults.precision)
            .nick("Precision")
            .blurb("Which of the model's graphs run, and how")
            .mutable_ready()
            .build(),
        fixed(
            "threads",
            "Threads",
            "Threads for inference in this process, whatever the number of streams; the first \
             element decides (0: the cores)",
            defaults.threads,
        ),
        live(
            "latency",
            "Latency",
            "Time allowed for processing, in ms, beyond the model's own delay; added to the \
             latency of live pipelines",
            0,
            defaults.latency_ms,
        ),
        live(
            "lateness",
            "Lateness",
            "By how much the text's running time is shifted, in ms; adds no latency",
            0,
            defaults.lateness_ms,
        ),
        glib::ParamSpecString::builder("language-code")
            .nick("Language code")
            .blurb(
                "Language of the text, such as zh-CN; any code is accepted, and the tag carries its \
                 ISO 639 part",
            )
            .default_value(Some(defaults.language_code.as_str()))
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("output", defaults.output)
            .nick("Output")
            .blurb("What a text buffer is")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("caption-mode", defaults.caption_mode)
            .nick("Caption mode")
            .blurb(
                "final: for files, muxers and translation; live pipelines get max-caption-duration + \
                 endpoint-silence more latency. progressive: for overlays only, since each buffer \
                 repeats the caption as it grows",
            )
            .mutable_ready()
            .build(),
        live(
            "max-line-chars",
            "Line length",
            "Longest line of a caption, in full-width characters",
            1,
            shape.max_line_chars,
        ),
        live("max-lines", "Lines", "Most lines of a caption", 1, shape.max_lines),
        live(
            "max-caption-duration",
            "Longest caption",
            "Longest time a caption is shown, in ms; part of the latency of live pipelines with \
             final captions",
            40,
            shape.max_duration_ms,
        ),
        live(
            "min-caption-duration",
            "Shortest caption",
            "Shortest time a caption is shown, in ms, unless the next one follows sooner",
            0,
            shape.min_duration_ms,
        ),
        live(
            "max-reading-speed",
            "Reading speed",
            "Fastest reading asked of the viewer, in characters a second (0: no limit)",
            0,
            shape.max_reading_speed,
        ),
        fixed(
            "endpoint-silence",
            "Endpoint silence",
            "Silence that ends an utterance, in ms; part of the latency of live pipelines with \
             final captions (0: never)",
            defaults.endpoint_silence_ms,
        ),
        fixed(
            "max-utterance-duration",
            "Longest utterance",
            "An utterance ends after this time at the latest, in ms, at the likeliest pause of its \
             last 3 s (0: no limit)",
            defaults.max_utterance_ms,
        ),
        glib::ParamSpecBoolean::builder("partial-results")
            .nick("Partial results")
            .blurb("Post a message for every partial result, not only for finals")
            .default_value(defaults.partial_results)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("spacing", defaults.spacing)
            .nick("Spacing")
            .blurb("What stands between Chinese and English")
            .mutable_ready()
            .build(),
        glib::ParamSpecDouble::builder("min-confidence")
            .nick("Least confidence")
            .blurb("Tokens below are marked doubtful in messages, never hidden")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(defaults.min_confidence)
            .mutable_playing()
            .build(),
        live(
            "max-queue-time",
            "Longest queue",
            "How much audio may wait, in ms. When it is full, upstream waits; in a live pipeline \
             the oldest audio is skipped",
            100,
            defaults.max_queue_ms,
        ),
        path(
            "runtime-library",
            "ONNX Runtime",
            "libonnxruntime.so (null: $ORT_DYLIB_PATH, else beside the plugin, else the system's \
             loader); the first element decides",
        ),
        glib::ParamSpecEnum::builder_with_default("execution-provider", defaults.execution_provider)
            .nick("Execution provider")
            .blurb("What computes; the first element of the process decides")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("current-text")
            .nick("Current text")
            .blurb("The text recognised of the current utterance")
            .read_only()
            .build(),
        glib::ParamSpecUInt::builder("max-observed-delay")
            .nick("Longest delay")
            .blurb("Longest processing delay seen in a live pipeline, in ms")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counters and health of this stream")
            .read_only()
            .build(),
    ]
});
