//! The encoder call of one window: runs the network, checks what it gives.

use super::network::{EncoderInput, EncoderOutput, Network};
use super::{Error, Result};

/// Encodes the window `features` `[frames, _]` into `output`: rows `[frames, dim]` and alphas `[frames]`.
///
/// Errors: those of the network; [`Error::Network`] where sizes are wrong or an alpha is not a number.
pub fn encode(
    network: &mut dyn Network,
    features: &[f32],
    frames: usize,
    dim: usize,
    output: &mut EncoderOutput,
) -> Result<()> {
    network.encode(EncoderInput { features, frames }, output)?;
    if output.encoded.len() != frames * dim || output.alphas.len() != frames {
        return Err(Error::network(format!(
            "the encoder gave {} values and {} alphas for {frames} frames of {dim}",
            output.encoded.len(),
            output.alphas.len()
        )));
    }
    if let Some(alpha) = output.alphas.iter().find(|a| !a.is_finite()) {
        return Err(Error::network(format!("the encoder gave an alpha of {alpha}: the model is damaged")));
    }
    Ok(())
}
