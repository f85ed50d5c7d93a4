//! Ends of utterances, judged from the model's own alphas: alphas of 60 ms rows in, decisions out.
//!
//! The alphas of speech sum to one for each token, four or five a second; those of silence stay near 0. An utterance ends
//! after enough silence, and at the latest after a given duration: then at the lowest alpha of its last 3 s, which is
//! the likeliest pause.

use std::collections::VecDeque;

use crate::engine::time::MS_PER_STACK;

/// A row with a lower alpha may be silence.
const SILENT_ALPHA: f32 = 0.05;
/// Rows that are silent one by one are speech if a second of them holds more than this: a token in the making.
const SILENT_ALPHA_PER_SECOND: f32 = 0.125;
/// Rows in which the latest end of an utterance is looked for: 3 s.
const SEARCH_ROWS: usize = 50;
/// Silence from the start of an utterance after which it begins anew, in rows: 5 s. Positions stay small, and speech that
/// follows has the whole duration of an utterance.
const IDLE_ROWS: u64 = 84;

/// The detector's state over one utterance.
#[derive(Debug, Clone)]
pub struct Endpoint {
    silence_rows: Option<u64>,
    limit_rows: Option<u64>,
    /// Alphas of the newest rows.
    recent: VecDeque<f32>,
    rows: u64,
    silent: u64,
    silent_sum: f32,
    speech_start: Option<u64>,
}

impl Endpoint {
    /// With the silence that ends an utterance and its longest duration, in ms; 0 is never.
    pub fn new(silence_ms: u32, limit_ms: u32) -> Self {
        let rows = |ms: u32| (ms > 0).then(|| u64::from(ms).div_ceil(MS_PER_STACK));
        Self {
            silence_rows: rows(silence_ms),
            limit_rows: rows(limit_ms),
            recent: VecDeque::with_capacity(SEARCH_ROWS),
            rows: 0,
            silent: 0,
            silent_sum: 0.0,
            speech_start: None,
        }
    }

    /// Starts a new utterance.
    pub fn reset(&mut self) {
        self.recent.clear();
        (self.rows, self.silent, self.silent_sum, self.speech_start) = (0, 0, 0.0, None);
    }

    /// Takes the alpha of the next row.
    pub fn observe(&mut self, alpha: f32) {
        if self.recent.len() == SEARCH_ROWS {
            self.recent.pop_front();
        }
        self.recent.push_back(alpha);
        self.silent += 1;
        self.silent_sum += alpha;
        let allowed = SILENT_ALPHA_PER_SECOND * (self.silent * MS_PER_STACK) as f32 / 1000.0;
        if alpha >= SILENT_ALPHA || self.silent_sum > allowed.max(SILENT_ALPHA) {
            self.speech_start.get_or_insert(self.rows);
            (self.silent, self.silent_sum) = (0, 0.0);
        }
        self.rows += 1;
    }

    /// How many of the last rows are silence, where that is enough to end the utterance. Something must have been heard,
    /// if only part of a token: it has nothing to do with what is said after the silence.
    pub fn silence(&self) -> Option<u64> {
        let rows = self.silence_rows?;
        if self.speech_start.is_none() {
            return self.idle();
        }
        (self.silent >= rows).then_some(self.silent)
    }

    /// How many of the last rows are silence, where that is enough for an utterance without text to begin anew.
    pub fn idle(&self) -> Option<u64> {
        let needed = self.silence_rows?.max(IDLE_ROWS);
        (self.silent >= needed).then_some(self.silent)
    }

    /// The row at whose start an utterance that is too long is best parted, counted from its start.
    pub fn limit(&self) -> Option<u64> {
        let (limit, start) = (self.limit_rows?, self.speech_start?);
        if self.rows - start < limit {
            return None;
        }
        let searched = self.recent.len().min((self.rows - start) as usize);
        let newest = self.recent.iter().skip(self.recent.len() - searched).enumerate();
        let lowest = newest.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(at, _)| at);
        Some(self.rows - (searched - lowest) as u64)
    }

    /// The row of the first speech.
    pub fn speech_start(&self) -> Option<u64> {
        self.speech_start
    }

    /// Goes on after a limit: the utterance now begins `rows` rows later, and row `speech` of the old counting is its
    /// first speech.
    pub fn rebase(&mut self, rows: u64, speech: u64) {
        self.rows -= rows;
        self.speech_start = Some(speech.saturating_sub(rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(endpoint: &mut Endpoint, alpha: f32, rows: usize) {
        (0..rows).for_each(|_| endpoint.observe(alpha));
    }

    #[test]
    fn silence_after_speech_ends_an_utterance() {
        let mut endpoint = Endpoint::new(800, 0);
        observe(&mut endpoint, 0.3, 10);
        observe(&mut endpoint, 0.001, 13);
        assert_eq!(endpoint.silence(), None);
        observe(&mut endpoint, 0.001, 1);
        assert_eq!(endpoint.silence(), Some(14));
        assert_eq!(endpoint.idle(), None);
        observe(&mut endpoint, 0.001, 70);
        assert_eq!(endpoint.idle(), Some(84));
        endpoint.reset();
        observe(&mut endpoint, 0.001, 83);
        assert_eq!(endpoint.silence(), None);
        observe(&mut endpoint, 0.001, 1);
        assert_eq!(endpoint.silence(), Some(84));
    }

    #[test]
    fn a_token_that_grows_slowly_is_no_silence() {
        let mut endpoint = Endpoint::new(800, 0);
        observe(&mut endpoint, 0.04, 200);
        assert_eq!(endpoint.silence(), None);
        observe(&mut endpoint, 0.0, 200);
        assert_eq!(endpoint.silence(), Some(200));
        let mut never = Endpoint::new(0, 0);
        observe(&mut never, 0.0, 200);
        assert_eq!((never.silence(), never.limit()), (None, None));
    }

    #[test]
    fn a_long_utterance_is_parted_at_its_lowest_alpha() {
        let mut endpoint = Endpoint::new(0, 6000);
        observe(&mut endpoint, 0.0, 40);
        observe(&mut endpoint, 0.3, 70);
        observe(&mut endpoint, 0.11, 1);
        observe(&mut endpoint, 0.3, 28);
        assert_eq!(endpoint.limit(), None);
        observe(&mut endpoint, 0.3, 1);
        assert_eq!(endpoint.limit(), Some(110));
        endpoint.rebase(100, 110);
        assert_eq!(endpoint.limit(), None);
        observe(&mut endpoint, 0.3, 70);
        assert_eq!(endpoint.limit(), Some(60));
    }
}
