//! The only place with threads: who runs the networks, and for whom.

pub mod background;
pub mod calls;
pub mod gate;
pub mod mailbox;
pub mod offline;
mod pending;
pub mod punctuation;
pub mod queue;
pub mod slot;
pub mod worker;

pub use calls::{RecognitionClient, RecognitionWorker, VadClient, VadWorker};
pub use mailbox::Mailbox;
pub use offline::{OfflineClient, OfflineWorker};
pub use punctuation::{PunctuationClient, PunctuationWorker};
pub use queue::Queue;
pub use slot::Canceller;

/// The processor's cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
