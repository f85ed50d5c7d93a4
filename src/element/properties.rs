//! The properties' specifications: names, types, limits, defaults.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::settings::Settings;

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
        path(
            "vad-model-path",
            "Voice activity model path",
            "Folder of a FSMN-VAD: it finds where utterances begin and end, and nothing else is \
             recognised (null: all is, and silence in it ends utterances)",
        ),
        path(
            "offline-model-path",
            "Second pass model path",
            "Folder of an offline Paraformer: at the end of each utterance it reads it again, and \
             its text is the final one (null: the streaming text is)",
        ),
        path(
            "punctuation-model-path",
            "Punctuation model path",
            "Folder of a CT-Transformer: it punctuates final text (null: no punctuation)",
        ),
        glib::ParamSpecString::builder("hotwords")
            .nick("Hotwords")
            .blurb(
                "Words to be recognised, with spaces between, or @ and a file with one a line: a \
                 second pass that takes hotwords expects them, and streaming text that sounds like \
                 one is repaired",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("inverse-text-normalization")
            .nick("Inverse text normalization")
            .blurb("Write numbers as figures in final text")
            .default_value(defaults.inverse_text_normalization)
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
