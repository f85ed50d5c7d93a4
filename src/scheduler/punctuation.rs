//! The calls of a punctuation model, and their client as the network that a stream uses.

use super::calls::refill;
use super::worker::{Call, Client, Worker};
use crate::engine::Result;
use crate::engine::refine::punctuation::{PunctuationInput, PunctuationNetwork};

/// A stream's way to a punctuation model.
pub type PunctuationClient = Client<PunctuationCall>;
/// The thread of a punctuation model.
pub type PunctuationWorker = Worker<PunctuationCall>;

/// A call of a punctuation model.
#[derive(Debug, Default)]
pub struct PunctuationCall {
    ids: Vec<i32>,
    past: usize,
    scores: Vec<f32>,
}

impl Call for PunctuationCall {
    type Network = dyn PunctuationNetwork;

    fn kind(&self) -> Option<usize> {
        // The published realtime graph takes one text at a time.
        None
    }

    fn run(calls: &mut [&mut Self], network: &mut Self::Network) -> Result<()> {
        calls.iter_mut().try_for_each(|call| {
            let input = PunctuationInput { ids: &call.ids, past: call.past };
            network.classify(input, &mut call.scores)
        })
    }
}

impl PunctuationNetwork for PunctuationClient {
    fn classify(&mut self, input: PunctuationInput<'_>, scores: &mut Vec<f32>) -> Result<()> {
        let call = self.call(self.patience(), |call| {
            refill(&mut call.ids, input.ids);
            call.past = input.past;
            std::mem::swap(&mut call.scores, scores);
        })?;
        std::mem::swap(&mut call.scores, scores);
        Ok(())
    }
}
