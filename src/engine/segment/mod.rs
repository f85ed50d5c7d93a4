//! Where utterances begin and end.

pub mod endpoint;
