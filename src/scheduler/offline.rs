//! The calls of a second pass, and their client as the network that a stream uses.

use super::calls::refill;
use super::worker::{Call, Client, Worker};
use crate::engine::Result;
use crate::engine::refine::offline::{Bias, OfflineInput, OfflineNetwork, OfflineOutput};

/// A stream's way to an offline Paraformer.
pub type OfflineClient = Client<OfflineCall>;
/// The thread of an offline Paraformer.
pub type OfflineWorker = Worker<OfflineCall>;

/// A call of an offline Paraformer.
#[derive(Debug, Default)]
pub struct OfflineCall {
    what: What,
    features: Vec<f32>,
    frames: usize,
    bias: Option<Bias>,
    output: OfflineOutput,
    ids: Vec<i32>,
    embedded: Vec<f32>,
}

#[derive(Debug, Clone, Copy, Default)]
enum What {
    #[default]
    Recognise,
    Embed,
}

impl Call for OfflineCall {
    type Network = dyn OfflineNetwork;

    /// Made alone: in a batch, utterances of unequal length change each other's hotwords and times.
    fn kind(&self) -> Option<usize> {
        None
    }

    fn run(calls: &mut [&mut Self], network: &mut Self::Network) -> Result<()> {
        calls.iter_mut().try_for_each(|call| match call.what {
            What::Recognise => {
                let input = OfflineInput { features: &call.features, frames: call.frames, bias: call.bias.as_ref() };
                network.recognise(input, &mut call.output)
            }
            What::Embed => network.embed(&call.ids, &mut call.embedded),
        })
    }
}

impl OfflineNetwork for OfflineClient {
    fn recognise(&mut self, input: OfflineInput<'_>, output: &mut OfflineOutput) -> Result<()> {
        let call = self.call(self.patience(), |call| {
            (call.what, call.frames) = (What::Recognise, input.frames);
            refill(&mut call.features, input.features);
            call.bias = input.bias.cloned();
            std::mem::swap(&mut call.output, output);
        })?;
        std::mem::swap(&mut call.output, output);
        Ok(())
    }

    fn embed(&mut self, ids: &[i32], embedded: &mut Vec<f32>) -> Result<()> {
        let call = self.call(self.patience(), |call| {
            call.what = What::Embed;
            refill(&mut call.ids, ids);
            std::mem::swap(&mut call.embedded, embedded);
        })?;
        std::mem::swap(&mut call.embedded, embedded);
        Ok(())
    }
}
