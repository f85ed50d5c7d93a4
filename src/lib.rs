//! Live speech to captions, on the user's own machine: FunASR's streaming Paraformer as the GStreamer element
//! `paraformerasr`.
//!
//! - [`engine`]: samples to text and times. No GStreamer, no ONNX Runtime.
//! - [`runtime`]: ONNX Runtime, and the models of the process.
//! - [`scheduler`]: the threads.
//! - [`captions`]: results to captions.
//! - `element`: GStreamer, with the feature `plugin`.

pub mod captions;
#[cfg(feature = "plugin")]
pub mod element;
pub mod engine;
pub mod runtime;
pub mod scheduler;

#[cfg(feature = "plugin")]
pub use plugin::plugin_register_static;

#[cfg(feature = "plugin")]
#[allow(missing_docs)] // The macro's items.
mod plugin {
    fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
        crate::element::register(plugin)
    }

    gst::plugin_define!(
        paraformer,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_REPOSITORY"),
        env!("BUILD_REL_DATE")
    );
}
