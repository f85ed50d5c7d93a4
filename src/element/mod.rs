//! The GStreamer element. The only place that names GStreamer.

use gst::glib;
use gst::prelude::*;

mod hotwords;
mod imp;
mod input;
mod latency;
mod messages;
mod models;
mod output;
mod properties;
mod recogniser;
mod refine;
mod results;
mod settings;
mod stats;
mod task;
mod text;

glib::wrapper! {
    /// `paraformerasr`: 16 kHz speech in, text out.
    pub struct ParaformerAsr(ObjectSubclass<imp::ParaformerAsr>) @extends gst::Element, gst::Object;
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "paraformerasr", gst::Rank::NONE, ParaformerAsr::static_type())
}

/// Property `precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstParaformerAsrPrecision")]
#[repr(i32)]
pub enum Precision {
    /// int8 where there is one.
    #[default]
    #[enum_value(name = "int8 where the model has it, else float32", nick = "auto")]
    Auto,
    /// 8-bit weights.
    #[enum_value(name = "8-bit weights; the graph may be rewritten to run faster", nick = "int8")]
    Int8,
    /// 8-bit weights, published arithmetic.
    #[enum_value(name = "8-bit weights, with the published arithmetic bit for bit", nick = "int8-exact")]
    Int8Exact,
    /// 32-bit floating point.
    #[enum_value(name = "32-bit floating point", nick = "float32")]
    Float32,
}

/// Property `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstParaformerAsrOutput")]
#[repr(i32)]
pub enum Output {
    /// Captions.
    #[default]
    #[enum_value(name = "A buffer is a caption", nick = "captions")]
    Captions,
    /// Display tokens.
    #[enum_value(name = "A buffer is one Chinese character or one word", nick = "tokens")]
    Tokens,
}

/// Property `caption-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstParaformerAsrCaptionMode")]
#[repr(i32)]
pub enum CaptionMode {
    /// Finished captions.
    #[default]
    #[enum_value(name = "Each buffer is one finished caption", nick = "final")]
    Final,
    /// The caption as it grows.
    #[enum_value(name = "Each buffer is the caption as it has grown: for overlays only", nick = "progressive")]
    Progressive,
}

/// Property `spacing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstParaformerAsrSpacing")]
#[repr(i32)]
pub enum Spacing {
    /// Nothing.
    #[default]
    #[enum_value(name = "Nothing between Chinese and English", nick = "none")]
    None,
    /// One space.
    #[enum_value(name = "One space between Chinese and English", nick = "space")]
    Space,
}

/// Property `execution-provider`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstParaformerAsrExecutionProvider")]
#[repr(i32)]
pub enum ExecutionProvider {
    /// The processor.
    #[default]
    #[enum_value(name = "The processor", nick = "cpu")]
    Cpu,
    /// An NVIDIA GPU.
    #[enum_value(name = "An NVIDIA GPU; needs ONNX Runtime built with CUDA", nick = "cuda")]
    Cuda,
}
