//! The sinusoidal position of a row (FunASR `SinusoidalPositionEncoder`): the sines first, then the cosines.
//!
//! For j < dim/2: PE(p)[j] = sin(p w_j) and PE(p)[dim/2 + j] = cos(p w_j), w_j = exp(-j ln(10000) / (dim/2 - 1)).
//! Positions count from 1 at the start of an utterance. Only the rows that are needed are computed, in double
//! precision, so that neither memory nor the error of the phase grows with the length of the stream.

/// Adds the position `p` (from 1) to a row.
pub fn add(p: u64, row: &mut [f32]) {
    let half = row.len() / 2;
    let (sines, cosines) = row.split_at_mut(half);
    let decay = -(10000f64.ln()) / (half as f64 - 1.0);
    for (j, (s, c)) in sines.iter_mut().zip(cosines).enumerate() {
        let (sine, cosine) = (p as f64 * (decay * j as f64).exp()).sin_cos();
        *s += sine as f32;
        *c += cosine as f32;
    }
}

/// Takes the position `p` (from 1) off a row again.
pub fn subtract(p: u64, row: &mut [f32]) {
    row.iter_mut().for_each(|x| *x = -*x);
    add(p, row);
    row.iter_mut().for_each(|x| *x = -*x);
}
