//! The 512-point Fourier transform of real samples, bit for bit as kaldi-native-fbank's (kissfft, single precision).
//!
//! Any good transform would do for accuracy, and a library's would be faster. But int8 models round every activation, so
//! a difference in the last bit of a feature moves alphas by up to a hundredth, times by milliseconds, and now and then a
//! token: to give what the reference gives, the additions must be made in its order. That is: 256 complex points, radix
//! 4, decimation in time, then the split into the bins of the real input; within a butterfly, the order of the released
//! builds, whose compiler was free to choose it (three terms are added from the left, as the brackets below say).
//! `rustfft` checks the result in the tests, and goldens of kaldi-native-fbank check every bit.

use num_complex::Complex32;

/// Real samples of one transform.
pub const SIZE: usize = 512;
const HALF: usize = SIZE / 2;
const RADIX: usize = 4;

/// The tables.
#[derive(Debug, Clone)]
pub struct RealFft {
    /// exp(-2 pi i k / 256).
    twiddles: Vec<Complex32>,
    /// exp(-i pi ((k + 1) / 256 + 1/2)): parts the even and the odd samples' spectra.
    split: Vec<Complex32>,
    /// Where each complex point goes: the digits of its number in base 4, reversed.
    order: Vec<usize>,
}

impl Default for RealFft {
    fn default() -> Self {
        let unit = |phase: f64| Complex32::new(phase.cos() as f32, phase.sin() as f32);
        let pi = std::f64::consts::PI;
        Self {
            twiddles: (0..HALF).map(|k| unit(-2.0 * pi * k as f64 / HALF as f64)).collect(),
            split: (0..HALF / 2).map(|k| unit(-pi * ((k + 1) as f64 / HALF as f64 + 0.5))).collect(),
            order: (0..HALF).map(reversed).collect(),
        }
    }
}

fn reversed(mut number: usize) -> usize {
    let mut result = 0;
    let mut rest = HALF;
    while rest > 1 {
        result = result * RADIX + number % RADIX;
        number /= RADIX;
        rest /= RADIX;
    }
    result
}

impl RealFft {
    /// Transforms 512 samples into the power |X|² of bins 0 to 255, by way of `points` (256 complex numbers).
    pub fn power(&self, samples: &[f32; SIZE], points: &mut [Complex32; HALF], power: &mut [f32; HALF]) {
        for (point, &from) in points.iter_mut().zip(&self.order) {
            *point = Complex32::new(samples[2 * from], samples[2 * from + 1]);
        }
        let mut span = 1;
        while span < HALF {
            let stride = HALF / (span * RADIX);
            for group in points.chunks_exact_mut(span * RADIX) {
                self.butterflies(group, span, stride);
            }
            span *= RADIX;
        }
        let first = points[0].re + points[0].im;
        power[0] = first * first;
        for k in 1..=HALF / 2 {
            let (here, there, split) = (points[k], points[HALF - k], self.split[k - 1]);
            let sum = here.re + there.re;
            let (re, im) = (here.re - there.re, here.im + there.im);
            let (even, odd) = (re * split.re, im * split.im);
            let turned = re * split.im + im * split.re;
            let low = Complex32::new(((sum + even) - odd) * 0.5, ((here.im - there.im) + turned) * 0.5);
            let high = Complex32::new(((sum + odd) - even) * 0.5, ((there.im - here.im) + turned) * 0.5);
            power[k] = low.norm_sqr();
            power[HALF - k] = high.norm_sqr();
        }
    }

    fn butterflies(&self, group: &mut [Complex32], span: usize, stride: usize) {
        let (a, rest) = group.split_at_mut(span);
        let (b, rest) = rest.split_at_mut(span);
        let (c, d) = rest.split_at_mut(span);
        for (k, (((a, b), c), d)) in a.iter_mut().zip(b).zip(c).zip(d).enumerate() {
            let (turn_b, turn_c, turn_d) =
                (self.twiddles[k * stride], self.twiddles[2 * k * stride], self.twiddles[3 * k * stride]);
            let turned_b = *b * turn_b;
            // The real parts of c and d are added term by term.
            let (c_re, c_im) = (c.re * turn_c.re, c.im * turn_c.im);
            let (d_re, d_im) = (d.re * turn_d.re, d.im * turn_d.im);
            let turned_c_im = c.re * turn_c.im + c.im * turn_c.re;
            let turned_d_im = d.re * turn_d.im + d.im * turn_d.re;
            let even_sum = Complex32::new((a.re + c_re) - c_im, a.im + turned_c_im);
            let even_difference = Complex32::new((a.re + c_im) - c_re, a.im - turned_c_im);
            let odd_sum = Complex32::new((turned_b.re - d_im) + d_re, turned_b.im + turned_d_im);
            let odd_difference_re = (turned_b.re - d_re) + d_im;
            *a = even_sum + odd_sum;
            *c = even_sum - odd_sum;
            *b = Complex32::new(
                (even_difference.re + turned_b.im) - turned_d_im,
                even_difference.im - odd_difference_re,
            );
            *d = Complex32::new(
                (even_difference.re + turned_d_im) - turned_b.im,
                even_difference.im + odd_difference_re,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_rustfft() {
        let mut state = 1u32;
        let mut samples = [0.0; SIZE];
        samples.iter_mut().for_each(|sample| {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            *sample = (state >> 16) as f32 - 32768.0;
        });
        let (mut points, mut power) = ([Complex32::default(); HALF], [0.0; HALF]);
        RealFft::default().power(&samples, &mut points, &mut power);
        let mut exact: Vec<_> = samples.iter().map(|&s| num_complex::Complex64::new(s.into(), 0.0)).collect();
        rustfft::FftPlanner::new().plan_fft_forward(SIZE).process(&mut exact);
        let largest = exact.iter().map(|x| x.norm_sqr()).fold(0.0, f64::max);
        for (found, expected) in power.iter().zip(&exact) {
            assert!((f64::from(*found) - expected.norm_sqr()).abs() < 1e-6 * largest, "{found}, expected {expected}");
        }
    }
}
