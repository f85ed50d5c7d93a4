//! FSMN-VAD, streaming (FunASR `FsmnVADStreaming`): fbank frames in, boundaries of segments out.
//!
//! The network sees a frame with two on each side (LFR of 5 by 1), so it is two frames late. Frames are scored in blocks
//! of 60 ms at fixed places, so that cutting the samples otherwise changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::detector::{Boundary, Detector, DetectorOptions};
use super::vad_config::VadConfig;
use crate::engine::frames::HeldFrames;
use crate::engine::frontend::MEL_BINS;
use crate::engine::frontend::cmvn::Cmvn;
use crate::engine::network::{VadInput, VadNetwork, VadOutput};
use crate::engine::{Error, Result};

/// Frames stacked into one row of the network's input (`lfr_m`).
pub const WINDOW_FRAMES: u64 = 5;
/// Frames on each side of the one that is scored.
const CONTEXT_FRAMES: u64 = (WINDOW_FRAMES - 1) / 2;
/// Values in one row of the network's input.
pub const VAD_FEATURE_DIM: usize = MEL_BINS * WINDOW_FRAMES as usize;
/// Frames that one call scores.
const BLOCK_FRAMES: u64 = 6;

/// Everything of a voice activity detector that is not its graph: immutable, shared by all streams.
#[derive(Debug, Clone)]
pub struct VadModel {
    cmvn: Cmvn,
    options: DetectorOptions,
    caches: usize,
    cache_len: usize,
}

impl VadModel {
    /// From the CMVN of the features ([`VAD_FEATURE_DIM`]) and the configuration. The graph has `caches` FSMN caches of
    /// `cache_len` values each.
    pub fn new(cmvn: Cmvn, config: &VadConfig, caches: usize, cache_len: usize) -> Self {
        Self { cmvn, options: config.options, caches, cache_len }
    }
}

/// The detector of one stream, with its network's caches.
#[derive(Debug)]
pub struct Vad {
    model: Arc<VadModel>,
    detector: Detector,
    caches: Vec<Vec<f32>>,
    output: VadOutput,
    features: Vec<f32>,
    /// What was decided and not yet taken.
    boundaries: VecDeque<Boundary>,
}

impl Vad {
    /// At the start of a stream, whose segments end after this silence, in ms; none: they go on to the stream's end.
    pub fn new(model: Arc<VadModel>, end_silence_ms: Option<u64>) -> Self {
        let options = DetectorOptions { max_end_silence_ms: end_silence_ms, ..model.options };
        let caches = vec![vec![0.0; model.cache_len]; model.caches];
        Self {
            model,
            detector: Detector::new(options),
            caches,
            output: VadOutput::default(),
            features: Vec::new(),
            boundaries: VecDeque::new(),
        }
    }

    /// Starts a new stream.
    pub fn reset(&mut self) {
        self.detector.reset();
        self.caches.iter_mut().for_each(|cache| cache.fill(0.0));
        self.boundaries.clear();
    }

    /// The oldest decision that is not [`done`](Self::done).
    pub fn boundary(&self) -> Option<Boundary> {
        self.boundaries.front().copied()
    }

    /// What [`boundary`](Self::boundary) gave has been acted on.
    pub fn done(&mut self) {
        self.boundaries.pop_front();
    }

    /// The number of frames that must have come before the next block can be scored.
    pub fn next(&self) -> u64 {
        self.seen() + BLOCK_FRAMES
    }

    /// The number of frames that had come when the newest decision was taken.
    pub fn seen(&self) -> u64 {
        self.detector.frames() + CONTEXT_FRAMES
    }

    /// No segment that begins from now on begins before this frame.
    pub fn earliest(&self) -> u64 {
        self.detector.earliest()
    }

    /// The first frame that is still needed here.
    pub fn needed(&self) -> u64 {
        self.earliest().min(self.detector.frames().saturating_sub(CONTEXT_FRAMES))
    }

    /// Scores the next block, which must have come with its context.
    ///
    /// Errors: those of the network. The block is then still to be scored.
    pub fn block(&mut self, network: &mut dyn VadNetwork, frames: &HeldFrames) -> Result<()> {
        self.score(network, frames, BLOCK_FRAMES)
    }

    /// Ends the stream: scores the frames that are left, and ends the segment that is open with the last.
    ///
    /// Errors: those of the network. The frames are then still to be scored.
    pub fn finish(&mut self, network: &mut dyn VadNetwork, frames: &HeldFrames) -> Result<()> {
        let left = frames.end().saturating_sub(self.detector.frames());
        if left > 0 {
            self.score(network, frames, left)?;
        }
        self.boundaries.extend(self.detector.finish());
        Ok(())
    }

    fn score(&mut self, network: &mut dyn VadNetwork, frames: &HeldFrames, count: u64) -> Result<()> {
        let first = self.detector.frames();
        self.features.clear();
        for frame in first..first + count {
            let row = self.features.len();
            for neighbour in 0..WINDOW_FRAMES {
                // The stream's first frame stands for those before it, its last for those after.
                let number = (frame + neighbour).saturating_sub(CONTEXT_FRAMES).min(frames.end() - 1);
                self.features.extend_from_slice(frames.get(number, number + 1));
            }
            self.model.cmvn.apply(&mut self.features[row..], 1.0);
        }
        let input = VadInput { features: &self.features, frames: count as usize, caches: &self.caches };
        network.score(input, &mut self.output)?;
        let sizes = self.output.caches.iter().map(Vec::len);
        let fits = self.output.silence.len() as u64 == count && sizes.eq(self.caches.iter().map(Vec::len));
        if !fits {
            let found = format!("{} scores and {} caches", self.output.silence.len(), self.output.caches.len());
            return Err(Error::network(format!("the voice activity network gave {found} for {count} frames")));
        }
        std::mem::swap(&mut self.caches, &mut self.output.caches);
        for &silence in &self.output.silence {
            self.boundaries.extend(self.detector.judge(silence));
        }
        Ok(())
    }
}
