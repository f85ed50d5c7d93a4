//! When a token was spoken, from the alphas: one call for each row that CIF integrates, and one for each fire.
//!
//! A token fires where the alphas reach one, so its last part may wait over a pause for the next word's first alpha, or
//! for the tail. Its fire is then far from its sound. A token here lasts from the first row that is not silent to its
//! fire, but to the start of a pause where most of its weight lies before that, and 600 ms at most.
//!
//! CIF's boundaries are not trained as acoustic ones: expect errors of 60 to 120 ms.

/// An alpha above which a row is not silent.
pub const ONSET_ALPHA: f32 = 0.05;
/// Silent rows that are a pause: 300 ms.
const PAUSE_ROWS: u32 = 5;
/// The longest token.
const MAX_TOKEN_NS: u64 = 600_000_000;

/// The span of one token, in ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start_ns: u64,
    /// Where it ends; not before its start.
    pub end_ns: u64,
}

/// The state over one utterance.
#[derive(Debug, Clone, Default)]
pub struct TokenTimes {
    /// The end of the token before.
    previous_end_ns: u64,
    /// Where this token was first heard.
    onset_ns: Option<u64>,
    /// The end of the last row that was not silent.
    heard_ns: u64,
    silent_rows: u32,
    pause: Option<Pause>,
}

/// A pause within a token.
#[derive(Debug, Clone, Copy)]
struct Pause {
    start_ns: u64,
    end_ns: u64,
    /// The part of the token that lies before it.
    weight: f32,
}

impl TokenTimes {
    /// Starts a new utterance at `start_ns`.
    pub fn reset(&mut self, start_ns: u64) {
        *self = Self { previous_end_ns: start_ns, heard_ns: start_ns, ..Self::default() };
    }

    /// Takes the alpha of the next row, from `start_ns` to `end_ns`; `integral` is the token's weight before it.
    pub fn row(&mut self, alpha: f32, integral: f32, start_ns: u64, end_ns: u64) {
        if alpha <= ONSET_ALPHA {
            self.silent_rows += 1;
            return;
        }
        if self.silent_rows >= PAUSE_ROWS && self.onset_ns.is_some() {
            self.pause = Some(Pause { start_ns: self.heard_ns, end_ns: start_ns, weight: integral });
        }
        self.onset_ns.get_or_insert(start_ns);
        self.heard_ns = end_ns;
        self.silent_rows = 0;
    }

    /// A token fires at `at_ns`; `rest` is the weight that its last row leaves for the next one.
    pub fn fire(&mut self, at_ns: u64, rest: f32) -> Span {
        self.end(at_ns, rest, 1.0)
    }

    fn end(&mut self, at_ns: u64, rest: f32, weight: f32) -> Span {
        // A trace of alpha in a pause may complete a token that was spoken before it.
        let at_ns = if self.is_paused() { at_ns.min(self.heard_ns) } else { at_ns }.max(self.previous_end_ns);
        let onset_ns = self.onset_ns.take().unwrap_or(at_ns);
        self.onset_ns = (rest > ONSET_ALPHA).then_some(at_ns);
        match self.pause.take() {
            Some(pause) if 2.0 * pause.weight >= weight => {
                self.onset_ns = Some(pause.end_ns);
                self.span(onset_ns, pause.start_ns)
            }
            Some(pause) => self.span(pause.end_ns, at_ns),
            None => self.span(onset_ns, at_ns),
        }
    }

    /// The tail makes the last token fire, whose weight without it is `integral`, by `end_ns`, the end of the utterance.
    pub fn tail(&mut self, end_ns: u64, integral: f32) -> Span {
        let heard_ns = if self.heard_ns > self.previous_end_ns { self.heard_ns.min(end_ns) } else { end_ns };
        self.end(heard_ns, 0.0, integral)
    }

    /// Before this time no token starts that has not fired yet, when rows up to `now_ns` were taken; not more than 600 ms
    /// before `now_ns`, since weight that waits longer may never become a token.
    pub fn earliest_ns(&self, now_ns: u64) -> u64 {
        self.onset_ns.map_or(now_ns, |onset_ns| onset_ns.clamp(now_ns.saturating_sub(MAX_TOKEN_NS), now_ns))
    }

    /// The audio ends at `end_ns`: nothing lies after it.
    pub fn limit(&mut self, end_ns: u64) {
        self.previous_end_ns = self.previous_end_ns.min(end_ns);
        self.heard_ns = self.heard_ns.min(end_ns);
        self.onset_ns = self.onset_ns.map(|onset_ns| onset_ns.min(end_ns));
    }

    /// Whether a token has begun and silence has followed it for 300 ms.
    pub fn is_paused(&self) -> bool {
        self.silent_rows >= PAUSE_ROWS && self.onset_ns.is_some()
    }

    /// Where the token that has not fired yet was first heard.
    pub fn onset_ns(&self) -> Option<u64> {
        self.onset_ns
    }

    fn span(&mut self, start_ns: u64, end_ns: u64) -> Span {
        let end_ns = end_ns.max(self.previous_end_ns);
        let earliest = self.previous_end_ns.max(end_ns.saturating_sub(MAX_TOKEN_NS));
        self.previous_end_ns = end_ns;
        Span { start_ns: start_ns.clamp(earliest, end_ns), end_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of 60 units with these alphas; fires where the sum reaches 1, at the row's end. Spans as (start, end).
    fn spans(alphas: &[f32], tail: bool) -> Vec<(u64, u64)> {
        let (mut times, mut integral, mut found) = (TokenTimes::default(), 0.0, Vec::new());
        for (row, &alpha) in (0..).zip(alphas) {
            times.row(alpha, integral, 60 * row, 60 * row + 60);
            integral += alpha;
            if integral >= 1.0 {
                integral -= 1.0;
                found.push(times.fire(60 * row + 60, integral));
            }
        }
        if tail {
            found.push(times.tail(60 * alphas.len() as u64, integral));
        }
        found.iter().map(|span| (span.start_ns, span.end_ns)).collect()
    }

    #[test]
    fn from_the_first_sound_to_the_fire() {
        assert_eq!(spans(&[0.0, 0.0, 0.5, 0.5, 0.0, 0.5, 0.5], false), [(120, 240), (300, 420)]);
        assert_eq!(spans(&[0.5, 0.75, 0.75], false), [(0, 120), (120, 180)]);
    }

    #[test]
    fn a_token_that_waits_over_a_pause_ends_before_it() {
        let waits = [0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.75];
        assert_eq!(spans(&waits, false), [(0, 120), (480, 600)]);
        let trace = [0.5, 0.48, 0.0, 0.0, 0.0, 0.0, 0.0, 0.02];
        assert_eq!(spans(&trace, false), [(0, 120)]);
        let hardly = [0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.75];
        assert_eq!(spans(&hardly, false), [(420, 480)]);
    }

    #[test]
    fn the_tail_ends_where_sound_ended() {
        assert_eq!(spans(&[0.5, 0.25, 0.0, 0.0, 0.0, 0.0], true), [(0, 120)]);
        assert_eq!(spans(&[0.0, 0.0], true), [(120, 120)]);
        // A noise at the very end does not pull the token there.
        assert_eq!(spans(&[0.25, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.06], true), [(0, 120)]);
    }

    #[test]
    fn what_may_still_come() {
        let mut times = TokenTimes::default();
        assert_eq!(times.earliest_ns(5), 5);
        times.row(0.2, 0.0, 100_000_000, 160_000_000);
        assert_eq!(times.earliest_ns(160_000_000), 100_000_000);
        assert_eq!(times.earliest_ns(1_000_000_000), 400_000_000);
    }

    #[test]
    fn a_token_lasts_600_ms_at_most() {
        let mut times = TokenTimes::default();
        times.row(0.1, 0.0, 0, 60_000_000);
        assert_eq!(times.fire(2_000_000_000, 0.0), Span { start_ns: 1_400_000_000, end_ns: 2_000_000_000 });
    }
}
