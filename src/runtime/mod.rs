//! The only place that names ONNX Runtime: its library, the graphs, the models of a process.

mod batch;
pub mod builtin;
mod elf;
mod exit;
pub mod graph;
pub mod layout;
pub mod library;
pub mod load;
pub mod locate;
pub mod offline;
pub mod operators;
pub mod punctuation;
pub mod registry;
pub mod rewrite;
pub mod session;
mod shared;
pub mod vad;

pub use layout::{ModelSource, Precision};
pub use library::{Library, LibraryRequest, Provider};
pub use offline::{OfflineRequest, SharedOffline};
pub use punctuation::{PunctuationRequest, SharedPunctuation};
pub use registry::{ModelRequest, SharedModel};
pub use vad::{SharedVad, VadRequest};
