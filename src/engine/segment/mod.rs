//! Where utterances begin and end.

pub mod detector;
pub mod endpoint;
pub mod vad;
pub mod vad_config;
