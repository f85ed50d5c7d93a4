//! What a stream tells: the events, in order, each thing once.

use std::collections::VecDeque;

use super::detokenizer::Spacing;
use super::event::{Event, Heard};
use super::hypothesis::{Hypothesis, Piece, Recognised};

/// What was recognised, and what of it has been told.
#[derive(Debug, Default)]
pub struct Telling {
    recognised: Recognised,
    /// Tokens of the utterance that events have told of.
    told: usize,
    advanced_ns: u64,
    safe_ns: u64,
    /// The audio of the utterance that ends.
    heard: Option<Heard>,
    events: VecDeque<Event>,
}

impl Telling {
    /// At the start of a stream.
    pub fn new(spacing: Spacing) -> Self {
        Self { recognised: Recognised::new(spacing), ..Self::default() }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.recognised.reset();
        self.events.clear();
        self.heard = None;
        (self.told, self.advanced_ns, self.safe_ns) = (0, 0, 0);
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was recognised, to be grown.
    pub fn recognised(&mut self) -> &mut Recognised {
        &mut self.recognised
    }

    /// The utterance so far.
    pub fn hypothesis(&self) -> &Hypothesis {
        self.recognised.current()
    }

    /// Whether the utterance has text, or the beginning of a word.
    pub fn has_text(&self) -> bool {
        !self.hypothesis().pieces.is_empty()
    }

    /// Tells of what is new.
    pub fn tell(&mut self) {
        if self.tell_tokens() {
            self.events.push_back(Event::Hypothesis(self.hypothesis().clone()));
        }
    }

    /// Tells how the utterance may end.
    pub fn preview(&mut self, piece: Option<Piece>) {
        let Some(piece) = piece else { return };
        let hypothesis = self.recognised.with(piece);
        let tokens = hypothesis.tokens[self.hypothesis().tokens.len().min(hypothesis.tokens.len())..].to_vec();
        if !tokens.is_empty() {
            self.events.push_back(Event::Hypothesis(hypothesis));
            self.events.push_back(Event::Preview(tokens));
        }
    }

    /// The utterance ends, or is parted, with this audio.
    pub fn hear(&mut self, heard: Option<Heard>) {
        self.heard = heard;
    }

    /// Ends the utterance: tells of its last tokens, and of its final text.
    pub fn end_utterance(&mut self) {
        self.recognised.close();
        self.tell_tokens();
        if let Some(last) = self.recognised.finish() {
            self.tell_final(last);
        }
        self.heard = None;
        self.told = 0;
    }

    /// Parts the utterance at `cut_ns`: what ends later goes to the next one.
    pub fn part(&mut self, cut_ns: u64) {
        if let Some(last) = self.recognised.split(cut_ns) {
            self.tell_final(last);
            // The tokens of the rest were told of as part of the utterance before; its text is new.
            self.told = self.hypothesis().tokens.len();
            if self.told > 0 {
                self.events.push_back(Event::Hypothesis(self.hypothesis().clone()));
            }
        }
        self.heard = None;
    }

    /// Tells how far the stream is: see [`Event::Advanced`]. Neither time goes back.
    pub fn advance(&mut self, until_ns: u64, safe_ns: u64, waiting_ns: Option<u64>) {
        self.advanced_ns = self.advanced_ns.max(until_ns);
        let safe_ns = self.recognised.open_start_ns().map_or(safe_ns, |open_ns| open_ns.min(safe_ns));
        self.safe_ns = self.safe_ns.max(safe_ns.min(self.advanced_ns));
        self.events.push_back(Event::Advanced { until_ns: self.advanced_ns, safe_ns: self.safe_ns, waiting_ns });
    }

    fn tell_final(&mut self, last: Hypothesis) {
        self.events.extend(self.heard.take().map(Event::Heard));
        self.events.push_back(Event::Hypothesis(last));
    }

    fn tell_tokens(&mut self) -> bool {
        let tokens = &self.recognised.current().tokens;
        let told = std::mem::replace(&mut self.told, tokens.len());
        self.events.extend(tokens[told..].iter().cloned().map(Event::Token));
        self.told > told
    }
}
