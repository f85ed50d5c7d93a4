//! Live speech to captions with FunASR's streaming Paraformer.
pub mod captions;
pub mod engine;
pub mod runtime;
pub mod scheduler;
