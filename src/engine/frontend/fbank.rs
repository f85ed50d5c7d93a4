//! Log mel filter-bank energies, as Kaldi's `compute-fbank-feats` with `--window-type=hamming --num-mel-bins=80
//! --dither=0 --use-energy=false --snip-edges=true --low-freq=20 --high-freq=0`.
//!
//! Every operation is single precision and in Kaldi's order, as kaldi-native-fbank has it: the features are the
//! reference's bit for bit, which its int8 models need to give the reference's times.
//!
//! Samples `[n]` in, frames `[m, 80]` out; 25 ms windows every 10 ms. For each: subtract the mean, pre-emphasis 0.97,
//! Hamming window, 512-point power spectrum, 80 triangles linear in mel, natural logarithm floored at the float epsilon.

use std::hint::black_box;

use num_complex::Complex32;

use super::MEL_BINS;
use super::fft::{self, RealFft};

/// Samples in one window: 25 ms.
pub const WINDOW_SAMPLES: usize = 400;
/// Samples from one window to the next: 10 ms.
pub const SHIFT_SAMPLES: usize = 160;
/// Bins of the power spectrum that the filters see; the one at the Nyquist frequency is left out.
const SPECTRUM_BINS: usize = fft::SIZE / 2;
const PREEMPHASIS: f32 = 0.97;
/// Kaldi works on samples in the range of 16-bit integers.
const INT16_SCALE: f32 = 32768.0;
const ENERGY_FLOOR: f32 = f32::EPSILON;

/// The tables, the same for every stream: window, Fourier transform, mel triangles.
#[derive(Debug, Clone)]
pub struct FbankPlan {
    window: Vec<f32>,
    fft: RealFft,
    triangles: Vec<Triangle>,
}

/// One mel filter: weights of the spectrum's bins from `first` on.
#[derive(Debug, Clone)]
struct Triangle {
    first: usize,
    weights: Vec<f32>,
}

impl Default for FbankPlan {
    fn default() -> Self {
        let step = 2.0 * std::f64::consts::PI / (WINDOW_SAMPLES - 1) as f64;
        Self {
            window: (0..WINDOW_SAMPLES).map(|i| (0.54 - 0.46 * (step * i as f64).cos()) as f32).collect(),
            fft: RealFft::default(),
            triangles: mel_triangles(),
        }
    }
}

/// Kaldi's `MelBanks`: centres equally spaced in mel between 20 Hz and 8 kHz, slopes linear in mel, no normalisation.
fn mel_triangles() -> Vec<Triangle> {
    // The mathematics library's own logarithm, as at run time: a compiler that folds the constant rounds it otherwise.
    let mel = |hz: f32| 1127.0 * (1.0 + black_box(hz) / 700.0).ln();
    let low = mel(20.0);
    let spacing = (mel(8000.0) - low) / (MEL_BINS + 1) as f32;
    let edge = |number: usize| low + number as f32 * spacing;
    let bin_width = 16000.0 / fft::SIZE as f32;
    (0..MEL_BINS)
        .map(|bin| {
            let (left, centre, right) = (edge(bin), edge(bin + 1), edge(bin + 2));
            let mut triangle = Triangle { first: 0, weights: Vec::new() };
            for k in 0..SPECTRUM_BINS {
                let m = mel(bin_width * k as f32);
                if m <= left || m >= right {
                    continue;
                }
                if triangle.weights.is_empty() {
                    triangle.first = k;
                }
                let rising = m <= centre;
                triangle.weights.push(if rising {
                    (m - left) / (centre - left)
                } else {
                    (right - m) / (right - centre)
                });
            }
            triangle
        })
        .collect()
}

/// The fbank state of one stream: the samples that the next window still needs.
#[derive(Debug, Clone)]
pub struct Fbank {
    tail: Vec<f32>,
    windowed: [f32; fft::SIZE],
    points: [Complex32; SPECTRUM_BINS],
    power: [f32; SPECTRUM_BINS],
}

impl Default for Fbank {
    fn default() -> Self {
        Self {
            tail: Vec::new(),
            windowed: [0.0; fft::SIZE],
            points: [Complex32::default(); SPECTRUM_BINS],
            power: [0.0; SPECTRUM_BINS],
        }
    }
}

impl Fbank {
    /// Takes samples (-1 to 1; what is not a number counts as silence) and appends the frames `[m, 80]` that are
    /// complete with them to `frames`. Each frame depends on its own window alone, so cutting changes nothing.
    pub fn push(&mut self, plan: &FbankPlan, samples: &[f32], frames: &mut Vec<f32>) {
        let finite = samples.iter().map(|&s| if s.is_finite() { s * INT16_SCALE } else { 0.0 });
        self.tail.extend(finite);
        let mut start = 0;
        while start + WINDOW_SAMPLES <= self.tail.len() {
            self.frame(plan, start, frames);
            start += SHIFT_SAMPLES;
        }
        self.tail.drain(..start.min(self.tail.len()));
    }

    /// Forgets the stream.
    pub fn reset(&mut self) {
        self.tail.clear();
    }

    fn frame(&mut self, plan: &FbankPlan, start: usize, frames: &mut Vec<f32>) {
        let window = &self.tail[start..start + WINDOW_SAMPLES];
        let mean = window.iter().sum::<f32>() / WINDOW_SAMPLES as f32;
        // The padding after the window stays zero.
        let mut previous = window[0] - mean;
        for ((target, &sample), &weight) in self.windowed.iter_mut().zip(window).zip(&plan.window) {
            let sample = sample - mean;
            *target = (sample - PREEMPHASIS * previous) * weight;
            previous = sample;
        }
        plan.fft.power(&self.windowed, &mut self.points, &mut self.power);
        frames.extend(plan.triangles.iter().map(|triangle| {
            let power = &self.power[triangle.first..triangle.first + triangle.weights.len()];
            // From the lowest bin to the highest, as Kaldi adds them.
            let energy = power.iter().zip(&triangle.weights).fold(0.0, |energy, (p, w)| energy + w * p);
            energy.max(ENERGY_FLOOR).ln()
        }));
    }
}
