//! FSMN-VAD's decisions (FunASR `e2e_vad.py` and `e2e-vad.h`): the probability of silence in each 10 ms frame in, where
//! segments of speech begin and end out.
//!
//! A window of 200 ms smooths the frames: 15 of 20 make speech begin, and as few make it end. A segment begins 400 ms
//! before the frame that tells so, and ends 100 ms after its speech once there was enough silence.

use std::collections::VecDeque;

/// Milliseconds in a frame.
const FRAME_MS: u64 = 10;

/// The detector's thresholds, with FunASR's names. Times in ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectorOptions {
    /// Silence that ends a segment (`max_end_silence_time`); none: no silence does.
    pub max_end_silence_ms: Option<u64>,
    /// The window over which frames are counted (`window_size_ms`).
    pub window_ms: u64,
    /// Speech within the window that begins a segment (`sil_to_speech_time_thres`).
    pub silence_to_speech_ms: u64,
    /// Speech within the window that is too little to go on (`speech_to_sil_time_thres`).
    pub speech_to_silence_ms: u64,
    /// What a segment begins before the window (`lookback_time_start_point`).
    pub look_back_ms: u64,
    /// What a segment keeps of the silence after it (`lookahead_time_end_point`).
    pub look_ahead_ms: u64,
    /// The longest segment (`max_single_segment_time`); none: no limit.
    pub max_segment_ms: Option<u64>,
    /// By how much speech must be likelier than silence (`speech_noise_thres`).
    pub speech_noise_threshold: f32,
    /// The power to which silence's probability is raised (`speech_2_noise_ratio`).
    pub speech_to_noise_ratio: f32,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self {
            max_end_silence_ms: Some(800),
            window_ms: 200,
            silence_to_speech_ms: 150,
            speech_to_silence_ms: 150,
            look_back_ms: 200,
            look_ahead_ms: 100,
            max_segment_ms: Some(60_000),
            speech_noise_threshold: 0.6,
            speech_to_noise_ratio: 1.0,
        }
    }
}

impl DetectorOptions {
    /// How many frames before the one that tells of it a segment can begin.
    pub fn start_delay_frames(&self) -> u64 {
        (self.window_ms + self.look_back_ms) / FRAME_MS
    }
}

/// What a frame decides. Frames count from the detector's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// A segment begins with this frame.
    Start(u64),
    /// The segment ends before this frame.
    End(u64),
}

/// The detector's state over one stream.
#[derive(Debug, Clone)]
pub struct Detector {
    options: DetectorOptions,
    /// The next frame's number.
    frame: u64,
    window: VecDeque<bool>,
    voiced: u64,
    speaking: bool,
    silent_frames: u64,
    /// Where the open segment began.
    start: Option<u64>,
    /// The first frame that the next segment may have.
    earliest: u64,
}

impl Detector {
    /// At the start of a stream.
    pub fn new(options: DetectorOptions) -> Self {
        let window = VecDeque::with_capacity((options.window_ms / FRAME_MS) as usize);
        Self { options, frame: 0, window, voiced: 0, speaking: false, silent_frames: 0, start: None, earliest: 0 }
    }

    /// Starts a new stream.
    pub fn reset(&mut self) {
        self.close(0);
        self.frame = 0;
    }

    /// How many frames have been judged.
    pub fn frames(&self) -> u64 {
        self.frame
    }

    /// No segment that begins from now on begins before this frame.
    pub fn earliest(&self) -> u64 {
        self.earliest.max(self.frame.saturating_sub(self.options.start_delay_frames()))
    }

    /// Judges the next frame, in which there is silence with this probability.
    pub fn judge(&mut self, silence: f32) -> Option<Boundary> {
        let frame = self.frame;
        self.frame += 1;
        let noise = silence.powf(self.options.speech_to_noise_ratio);
        let changed = self.count(1.0 - silence >= noise + self.options.speech_noise_threshold);
        if changed || self.speaking {
            self.silent_frames = 0;
        } else {
            self.silent_frames += 1;
        }
        match self.start {
            None if changed && self.speaking => {
                let start = self.earliest.max(frame.saturating_sub(self.options.start_delay_frames()));
                self.start = Some(start);
                Some(Boundary::Start(start))
            }
            None => None,
            Some(start) => self.end_of(start, frame),
        }
    }

    /// Ends the stream: a segment that is open ends with the last frame.
    pub fn finish(&mut self) -> Option<Boundary> {
        self.start.map(|_| self.close(self.frame))
    }

    /// The window takes a frame. Says whether speech begins or ends with it.
    fn count(&mut self, voiced: bool) -> bool {
        if self.window.len() as u64 == self.options.window_ms / FRAME_MS && self.window.pop_front() == Some(true) {
            self.voiced -= 1;
        }
        self.window.push_back(voiced);
        self.voiced += u64::from(voiced);
        let changes = if self.speaking {
            self.voiced <= self.options.speech_to_silence_ms / FRAME_MS
        } else {
            self.voiced >= self.options.silence_to_speech_ms / FRAME_MS
        };
        self.speaking ^= changes;
        changes
    }

    /// Whether the segment that began at `start` ends, now that `frame` was judged.
    fn end_of(&mut self, start: u64, frame: u64) -> Option<Boundary> {
        if let Some(silence_ms) = self.options.max_end_silence_ms {
            // The window has taken its own time to see the silence.
            let needed_ms = silence_ms.saturating_sub(self.options.speech_to_silence_ms);
            if self.silent_frames > 0 && self.silent_frames * FRAME_MS >= needed_ms {
                let back = (needed_ms / FRAME_MS).saturating_sub(self.options.look_ahead_ms / FRAME_MS + 1);
                return Some(self.close(frame - back.min(frame) + 1));
            }
        }
        let limit_ms = self.options.max_segment_ms?;
        ((frame - start + 1) * FRAME_MS > limit_ms).then(|| self.close(frame + 1))
    }

    fn close(&mut self, end: u64) -> Boundary {
        self.window.clear();
        (self.voiced, self.speaking, self.silent_frames, self.start) = (0, false, 0, None);
        self.earliest = end;
        Boundary::End(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FunASR's events, in ms, of frames with these probabilities of silence, each with the frame that told of it.
    fn events(options: DetectorOptions, frames: impl IntoIterator<Item = f32>) -> Vec<([i64; 2], u64)> {
        let mut detector = Detector::new(options);
        let mut found = Vec::new();
        let event = |boundary, frame| match boundary {
            Boundary::Start(start) => ([start as i64 * 10, -1], frame),
            Boundary::End(end) => ([-1, end as i64 * 10], frame),
        };
        for silence in frames {
            let boundary = detector.judge(silence);
            found.extend(boundary.map(|boundary| event(boundary, detector.frames())));
        }
        found.extend(detector.finish().map(|boundary| event(boundary, detector.frames())));
        found
    }

    /// Runs of silent and voiced frames in turn, the first silent.
    fn runs(lengths: &[usize]) -> Vec<f32> {
        let probability = |run: usize| if run.is_multiple_of(2) { 0.95 } else { 0.05 };
        lengths.iter().enumerate().flat_map(|(run, &length)| vec![probability(run); length]).collect()
    }

    fn boundaries(lengths: &[usize]) -> Vec<[i64; 2]> {
        events(DetectorOptions::default(), runs(lengths)).into_iter().map(|(event, _)| event).collect()
    }

    fn end_silence(ms: Option<u64>) -> DetectorOptions {
        DetectorOptions { max_end_silence_ms: ms, ..DetectorOptions::default() }
    }

    #[test]
    fn c13_segments_and_when_they_are_told_of() {
        let speech = runs(&[100, 150, 120, 100, 60]);
        let expected = [([740, -1], 115), ([-1, 2660], 320), ([3440, -1], 385), ([-1, 5300], 530)];
        assert_eq!(events(DetectorOptions::default(), speech.clone()), expected);
        let sooner: Vec<_> = events(end_silence(Some(500)), speech).into_iter().map(|(event, _)| event).collect();
        assert_eq!(sooner, [[740, -1], [-1, 2660], [3440, -1], [-1, 4860]]);
    }

    #[test]
    fn c13_edges() {
        assert_eq!(boundaries(&[300]), [[0; 2]; 0]);
        assert_eq!(boundaries(&[0, 100, 120]), [[0, -1], [-1, 1160]]);
        assert_eq!(boundaries(&[50, 100]), [[240, -1], [-1, 1500]]);
        assert_eq!(boundaries(&[100, 150, 50, 50, 120]), [[740, -1], [-1, 3660]], "a gap of 500 ms does not part");
        assert_eq!(boundaries(&[0, 7000]), [[0, -1], [-1, 60010], [60010, -1], [-1, 70000]]);
        assert_eq!(boundaries(&[100, 10, 100, 14, 100, 15, 100]), [[2980, -1], [-1, 3550]]);
    }

    #[test]
    fn c13_the_threshold_counts_as_speech() {
        let told = |silence| !events(DetectorOptions::default(), [silence; 100]).is_empty();
        assert!(told(0.2) && !told(0.201) && !told(f32::NAN));
    }

    #[test]
    fn segments_never_overlap_and_zero_silence_is_legal() {
        for silence_ms in [0, 10, 100, 150, 160, 300] {
            let found = events(end_silence(Some(silence_ms)), runs(&[30, 40, 21, 40, 21, 40, 100]));
            let mut last = 0;
            for ([start, end], _) in found {
                let at = start.max(end);
                assert!(at >= last, "{silence_ms} ms");
                last = at;
            }
        }
        let never = DetectorOptions { max_end_silence_ms: None, max_segment_ms: None, ..DetectorOptions::default() };
        assert_eq!(events(never, runs(&[0, 100, 9900])), [([0, -1], 15), ([-1, 100_000], 10_000)]);
    }

    #[test]
    fn a_new_stream_counts_from_0() {
        let mut detector = Detector::new(DetectorOptions::default());
        let found: Vec<_> = runs(&[10, 50]).into_iter().filter_map(|silence| detector.judge(silence)).collect();
        assert_eq!(found, [Boundary::Start(0)]);
        detector.reset();
        assert_eq!((detector.frames(), detector.earliest(), detector.finish()), (0, 0, None));
    }
}
