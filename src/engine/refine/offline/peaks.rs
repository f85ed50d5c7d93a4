//! When each token was spoken, from the second CIF of BiCif and SeACo (FunASR `time_stamp_lfr6_onnx`).
//!
//! It runs on a grid of 20 ms, where it reaches its threshold as a token begins: a token lasts from its own peak to the
//! next one, and there is one peak more than there are tokens. Times are double precision, in FunASR's order of
//! operations, and cut to whole ms as there.

/// A step of the grid in seconds: three for each 60 ms.
const STEP_SECONDS: f64 = 10.0 * 6.0 / 1000.0 / 3.0;
/// Where a step's peak stands for the token's start, in steps.
const OFFSET: f64 = -1.5;
/// The integral that is a peak.
const THRESHOLD: f64 = 1.0 - 1e-4;
/// The longest token, in steps: what lies behind is silence. The last token has no such limit.
const MAX_TOKEN: f64 = 30.0;
/// More steps than these after the last peak are the last token and silence, half each.
const END_SILENCE: f64 = 5.0;

/// The spans of `tokens` tokens, `[start, end]` in ms from the utterance's start; the first start may lie before it, the
/// last end behind its end. Nothing where no times can be made of these numbers.
///
/// `alphas` and `peaks`: `[3 * frames]`, `us_alphas` and `us_cif_peak`.
pub fn spans(alphas: &[f32], peaks: &[f32], tokens: usize) -> Option<Vec<[i64; 2]>> {
    if tokens == 0 {
        return Some(Vec::new());
    }
    let mut starts = fires(peaks);
    if starts.len() != tokens + 1 {
        // FunASR's Python fails here; its C++ makes the integral fit, and so do we.
        starts = refit(alphas, tokens + 1)?;
    }
    let last = *starts.last()?;
    let end = peaks.len().max(alphas.len()) as f64;
    let end = if end - last > END_SILENCE { (end + last) / 2.0 } else { end };
    let ms = |step: f64| (step * STEP_SECONDS * 1000.0) as i64;
    let span = |(number, pair): (usize, &[f64])| {
        let is_last = number + 1 == tokens;
        let until = match pair[1] - pair[0] < MAX_TOKEN {
            _ if is_last => end,
            true => pair[1],
            false => pair[0] + MAX_TOKEN,
        };
        [ms(pair[0]), ms(until)]
    };
    Some(starts.windows(2).enumerate().map(span).collect())
}

/// The steps at which tokens begin.
fn fires(peaks: &[f32]) -> Vec<f64> {
    // FunASR compares in single precision.
    let over = peaks.iter().enumerate().filter(|(_, peak)| **peak > THRESHOLD as f32);
    over.map(|(step, _)| step as f64 + OFFSET).collect()
}

/// As [`fires`], of alphas that are scaled so that there are `count`.
fn refit(alphas: &[f32], count: usize) -> Option<Vec<f64>> {
    let sum: f64 = alphas.iter().map(|&alpha| f64::from(alpha)).sum();
    if !(sum.is_finite() && sum > 0.0) || alphas.iter().any(|&alpha| alpha < 0.0) {
        return None;
    }
    let (mut integral, mut starts) = (0.0, Vec::with_capacity(count));
    for (step, &alpha) in alphas.iter().enumerate() {
        integral += f64::from(alpha) * count as f64 / sum;
        while integral >= THRESHOLD && starts.len() < count {
            integral -= 1.0;
            starts.push(step as f64 + OFFSET);
        }
    }
    (starts.len() == count).then_some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peaks(at: &[usize]) -> Vec<f32> {
        (0..120).map(|step| if at.contains(&step) { 1.0 } else { 0.5 }).collect()
    }

    #[test]
    fn the_checkpoints() {
        let found = |at: &[usize]| spans(&[], &peaks(at), 3);
        assert_eq!(found(&[12, 20, 33, 70]), Some(vec![[210, 370], [370, 630], [630, 1885]]));
        assert_eq!(found(&[3, 20, 33, 112]), Some(vec![[30, 370], [370, 630], [630, 2305]]));
        // A long gap is silence; few steps after the last peak belong to the last token.
        assert_eq!(found(&[0, 40, 50, 117]), Some(vec![[-30, 570], [770, 970], [970, 2400]]));
    }

    #[test]
    fn milliseconds_are_cut_as_in_double_precision() {
        let peaks: Vec<f32> = (0..410).map(|step| if step == 10 || step == 403 { 1.0 } else { 0.0 }).collect();
        // 401.5 steps are 8029.999... ms.
        assert_eq!(spans(&[], &peaks, 1), Some(vec![[170, 8115]]));
        let ends: Vec<f32> = (0..410).map(|step| if [10, 380, 403].contains(&step) { 1.0 } else { 0.0 }).collect();
        assert_eq!(spans(&[], &ends, 2).unwrap()[1][1], 8115);
        let ends: Vec<f32> = (0..412).map(|step| if [390, 403, 409].contains(&step) { 1.0 } else { 0.0 }).collect();
        assert_eq!(spans(&[], &ends, 2).unwrap()[0], [7770, 8029]);
    }

    #[test]
    fn another_number_of_peaks_is_made_to_fit() {
        let alphas = vec![0.1; 120];
        let found = spans(&alphas, &peaks(&[5]), 3).unwrap();
        // Four starts, 30 steps apart: steps 29, 59, 89 and 119, less 1.5.
        assert_eq!(found, [[550, 1150], [1150, 1750], [1750, 2400]]);
        for tokens in [1, 2, 7, 119] {
            assert_eq!(spans(&alphas, &[], tokens).unwrap().len(), tokens);
        }
        // One step may hold several tokens.
        assert_eq!(spans(&[0.0, 9.0, 0.0], &[], 4).unwrap(), [[-10, -10], [-10, -10], [-10, -10], [-10, 60]]);
    }

    #[test]
    fn numbers_that_hold_no_times() {
        assert_eq!(spans(&[], &[], 0), Some(vec![]));
        for alphas in [&[][..], &[0.0; 9], &[f32::NAN; 9], &[f32::INFINITY; 9], &[-1.0, 2.0]] {
            assert_eq!(spans(alphas, &peaks(&[5]), 2), None);
        }
    }
}
