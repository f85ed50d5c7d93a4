//! Continuous integrate-and-fire (Dong and Xu, "CIF: Continuous Integrate-and-Fire for End-to-End Speech Recognition",
//! 2020), streaming: alphas and encoder rows in, one embedding for each token out.
//!
//! The alphas are summed until they reach the threshold; there a token fires, its embedding the weighted sum of the
//! rows, and what the last alpha holds beyond the threshold begins the next token. The sum and the weighted rows are
//! carried from call to call. As in FunASR's C++ runtime: single precision, (sum + alpha) - threshold, and equality
//! fires. The carried rows stay un-normalised, as in sherpa-onnx: no division.

/// The state carried over the calls of one utterance.
#[derive(Debug, Clone, PartialEq)]
pub struct Cif {
    threshold: f32,
    integral: f32,
    hidden: Vec<f32>,
}

impl Cif {
    /// At the start of an utterance. `dim` is the width of the encoder's rows.
    pub fn new(threshold: f32, dim: usize) -> Self {
        Self { threshold, integral: 0.0, hidden: vec![0.0; dim] }
    }

    /// Starts a new utterance.
    pub fn reset(&mut self) {
        self.integral = 0.0;
        self.hidden.fill(0.0);
    }

    /// The sum carried: how much of the next token has been seen, 0 to the threshold.
    pub fn integral(&self) -> f32 {
        self.integral
    }

    /// Whether an alpha would make a token fire.
    pub fn would_fire(&self, alpha: f32) -> bool {
        self.integral + alpha >= self.threshold
    }

    /// What the next token has gathered: what [`tail`](Self::tail) would make its embedding.
    pub fn hidden(&self) -> &[f32] {
        &self.hidden
    }

    /// Adds one row. Where a token fires, its embedding `[dim]` is appended to `embeddings`, and the part of `alpha`
    /// that it took (0 to 1) is given back.
    pub fn integrate(&mut self, alpha: f32, row: &[f32], embeddings: &mut Vec<f32>) -> Option<f32> {
        if !self.would_fire(alpha) {
            self.integral += alpha;
            self.hidden.iter_mut().zip(row).for_each(|(h, x)| *h += alpha * x);
            return None;
        }
        let rest = self.threshold - self.integral;
        embeddings.extend(self.hidden.iter().zip(row).map(|(h, x)| h + rest * x));
        self.integral = self.integral + alpha - self.threshold;
        self.hidden.iter_mut().zip(row).for_each(|(h, x)| *h = self.integral * x);
        Some(rest / alpha)
    }

    /// Ends an utterance: an alpha without a row, that tops up the last token. Says whether it fired.
    pub fn tail(&mut self, alpha: f32, embeddings: &mut Vec<f32>) -> bool {
        let fires = self.would_fire(alpha);
        if fires {
            embeddings.extend_from_slice(&self.hidden);
        }
        self.reset();
        fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(cif: &mut Cif, alphas: &[f32]) -> Vec<usize> {
        let mut sink = Vec::new();
        (0..alphas.len()).filter(|&i| cif.integrate(alphas[i], &[], &mut sink).is_some()).collect()
    }

    /// Alphas from position 5 of 20 rows `[t, 1 - 0.1 t] + shift`: fire positions, and embeddings.
    fn call(cif: &mut Cif, alphas: &[f32], rows: usize, shift: f32) -> (Vec<usize>, Vec<f32>) {
        let (mut positions, mut embeddings) = (Vec::new(), Vec::new());
        for t in 0..rows {
            let alpha = if t >= 5 { alphas.get(t - 5).copied().unwrap_or(0.0) } else { 0.0 };
            let row = [t as f32 + shift, 1.0 - 0.1 * t as f32 + shift];
            if cif.integrate(alpha, &row, &mut embeddings).is_some() {
                positions.push(t);
            }
        }
        (positions, embeddings)
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}, expected {expected:?}");
    }

    #[test]
    fn c9_three_calls() {
        let mut cif = Cif::new(1.0, 2);
        let (at, embeddings) = call(&mut cif, &[0.30, 0.25, 0.10, 0.60, 0.40, 0.05, 0.90, 0.20, 0.35, 0.15], 20, 0.0);
        assert_eq!(at, [8, 11, 13]);
        close(&embeddings, &[6.5, 0.35, 9.4, 0.06, 11.6, -0.16]);
        close(&[cif.integral], &[0.3]);
        close(&cif.hidden, &[13.5 * 0.3, -0.35 * 0.3]);
        let (at, embeddings) = call(&mut cif, &[0.5, 0.5, 0.0, 0.1, 0.2, 0.0, 0.05, 0.0, 0.1, 0.05], 20, 20.0);
        assert_eq!(at, [6]);
        close(&embeddings, &[21.75, 14.225]);
        close(&[cif.integral], &[0.8]);
        close(&cif.hidden, &[28.6875 * 0.8, 20.13125 * 0.8]);
        let (at, mut embeddings) = call(&mut cif, &[0.0, 0.1, 0.05, 0.0, 0.0], 10, 40.0);
        assert_eq!(at, [0; 0]);
        assert!(cif.tail(0.45, &mut embeddings));
        close(&embeddings, &[29.9, 22.16]);
    }

    #[test]
    fn c9_equality_fires() {
        assert_eq!(fires(&mut Cif::new(1.0, 0), &[1.0]), [0]);
        assert_eq!(fires(&mut Cif::new(1.0, 0), &[0.1; 30]), [9, 19, 29]);
        assert_eq!(fires(&mut Cif::new(1.0, 0), &[0.3333333; 12]), [3, 6, 9]);
        // Single precision fires at the second; double precision would at the third.
        assert_eq!(fires(&mut Cif::new(1.0, 0), &[0.064, 0.936, 0.852])[0], 1);
    }

    #[test]
    fn a_tail_needs_enough_to_top_up() {
        let mut cif = Cif::new(1.0, 1);
        assert_eq!(cif.integrate(0.5, &[1.0], &mut Vec::new()), None);
        assert!(!cif.tail(0.45, &mut Vec::new()));
        assert_eq!(cif.integrate(0.55, &[1.0], &mut Vec::new()), None);
        assert!(cif.tail(0.45, &mut Vec::new()));
        assert_eq!(cif.integral(), 0.0);
    }
}
