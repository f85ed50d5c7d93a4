//! How a stream is recognised, and what it says.

use super::chunk::ChunkSize;
use super::detokenizer::Spacing;
use super::frontend::MEL_BINS;
use super::frontend::fbank::SHIFT_SAMPLES;
use super::hypothesis::{DisplayToken, Hypothesis};
use super::time::samples_to_ns;

/// How a stream is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// The windows.
    pub chunk_size: ChunkSize,
    /// Silence that ends an utterance, in ms; 0: never.
    pub endpoint_silence_ms: u32,
    /// The longest utterance, in ms; 0: no limit.
    pub max_utterance_ms: u32,
    /// What stands between Chinese and English.
    pub spacing: Spacing,
    /// Tell how an utterance may end before it does: [`Event::Preview`]. It takes a call of the decoder in each pause.
    pub preview: bool,
    /// Give the frames of each utterance with its final text: [`Event::Heard`].
    pub keep_frames: bool,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            chunk_size: ChunkSize::default(),
            endpoint_silence_ms: 800,
            max_utterance_ms: 30_000,
            spacing: Spacing::default(),
            preview: true,
            keep_frames: false,
        }
    }
}

/// What a stream says, in order. Times are ns of its samples: sample 0 of the stream, or of the first after
/// [`Stream::reset`], is at 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A display token is closed. Each comes once, in the order of the text.
    Token(DisplayToken),
    /// The utterance's text has grown, or is final.
    Hypothesis(Hypothesis),
    /// The utterance may end with these display tokens, which are not yet closed: nothing has been heard after them for
    /// 300 ms. The hypothesis that comes with them has them too. What is closed later takes their place.
    Preview(Vec<DisplayToken>),
    /// The audio of the utterance whose final hypothesis comes next; one of more than 90 s has none.
    Heard(Heard),
    /// The rows up to a time have been given out.
    Advanced {
        /// Up to here, at 60 ms a row from the utterance's start. A row's weight lies up to 17.5 ms before that.
        until_ns: u64,
        /// No token that is still to come starts before this time, but for one that waited over 600 ms for its last part.
        safe_ns: u64,
        /// Where that one starts, if there is one: the end of the utterance will make it fire.
        waiting_ns: Option<u64>,
    },
}

/// The audio of an utterance, as a second pass reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// `[frames, 80]`: log mel energies, a frame each 10 ms.
    pub frames: Vec<f32>,
    /// When the first frame begins.
    pub start_ns: u64,
}

impl Heard {
    /// When the frame after the last would begin.
    pub fn end_ns(&self) -> u64 {
        self.start_ns + samples_to_ns((self.frames.len() / MEL_BINS * SHIFT_SAMPLES) as u64)
    }
}
