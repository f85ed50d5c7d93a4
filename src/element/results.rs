//! What a stream's events become: messages, captions, and the final text of each utterance.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::messages;
use super::output::Outgoing;
use super::refine::{Clock, Final, Refiner, Stages};
use super::settings::Settings;
use super::text::TextOutput;
use crate::captions::Word;
use crate::engine::refine::chain::Pass;
use crate::engine::refine::numbers::Incremental;
use crate::engine::timeline::Timeline;
use crate::engine::{DisplayToken, Event, Heard, Hypothesis};
use crate::scheduler::Canceller;

/// The results of one stream, on their way out.
pub struct Results {
    pub text: TextOutput,
    refiner: Refiner,
    /// Numbers in captions that are made as the words come.
    numbers: Incremental,
    /// The audio of the utterance whose final text comes next.
    heard: Option<Heard>,
    min_confidence: f64,
    partial_results: bool,
    /// The last partial result: its utterance, and its text.
    told: (u64, String),
    /// The warnings about final texts that were given.
    warned: Vec<String>,
    /// Nobody waits for a final text longer than a live stream can.
    pub live: bool,
    /// When to give up, where that is wanted.
    pub deadline: Option<Instant>,
}

impl Results {
    /// At the start of a stream. `wake` is called when there are final texts to [`collect`](Self::collect).
    pub fn new(stages: Option<Arc<Mutex<Stages>>>, settings: &Settings, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            text: TextOutput::new(settings),
            refiner: Refiner::new(stages, settings, wake),
            numbers: Incremental::default(),
            heard: None,
            min_confidence: 0.0,
            partial_results: true,
            told: (0, String::new()),
            warned: Vec::new(),
            live: false,
            deadline: None,
        }
    }

    /// Takes the settings that may change while playing.
    pub fn apply(&mut self, settings: &Settings) {
        self.text.set_shape(settings.shape);
        self.min_confidence = settings.min_confidence;
        self.partial_results = settings.partial_results;
        for warning in self.refiner.apply(settings) {
            self.text.output.push(Outgoing::Warning(warning));
        }
        self.text.set_deferring(self.refiner.rewrites());
    }

    /// Takes an event of the stream, whose times are by `clock`.
    pub fn event(&mut self, event: Event, clock: &Clock) {
        match event {
            Event::Token(token) => self.token(token, &clock.timeline),
            Event::Hypothesis(hypothesis) if hypothesis.is_final => self.last(&hypothesis, clock),
            Event::Hypothesis(hypothesis) => self.partial(&hypothesis, clock),
            Event::Heard(heard) => self.heard = Some(heard),
            Event::Preview(tokens) => {
                let words = tokens.iter().map(|token| word(token, &clock.timeline)).collect();
                self.text.preview(words);
            }
            Event::Advanced { until_ns, safe_ns, waiting_ns } => {
                let waiting_ns = waiting_ns.filter(|_| self.text.may_wait());
                let held_ns = self.numbers.held_start_ns();
                let earliest_ns = [waiting_ns, held_ns].into_iter().flatten().fold(safe_ns, u64::min);
                self.text.advance(clock.timeline.pts_ns(until_ns), clock.timeline.pts_ns(earliest_ns));
            }
        }
    }

    /// Takes the final texts that are there.
    pub fn collect(&mut self) {
        let finals = self.refiner.collect(self.live);
        self.finals(finals);
    }

    /// Waits for the final texts that are still to come.
    pub fn settle(&mut self) {
        let finals = self.refiner.settle(self.live, self.deadline);
        self.finals(finals);
    }

    /// What is known so far becomes final, the utterance `open` too, which has not ended.
    pub fn abandon(&mut self, open: &Hypothesis, clock: &Clock) {
        if !open.tokens.is_empty() {
            self.last(&Hypothesis { is_final: true, ..open.clone() }, clock);
        }
        let finals = self.refiner.abandon();
        self.finals(finals);
        self.text.finish();
    }

    /// A stream begins: utterances count anew.
    pub fn begin_stream(&mut self) {
        self.refiner.reset();
        self.told = (0, String::new());
    }

    /// Forgets everything: after a flush.
    pub fn reset(&mut self) {
        self.begin_stream();
        self.numbers = Incremental::default();
        self.heard = None;
        self.text.reset();
    }

    /// Breaks off the wait for final texts.
    pub fn canceller(&self) -> Canceller {
        self.refiner.canceller()
    }

    fn token(&mut self, token: DisplayToken, timeline: &Timeline) {
        // Captions that are finished one by one have their numbers as they come; others have them from the final text.
        if !self.text.is_final() || !self.refiner.options().numbers {
            return self.text.word(word(&token, timeline));
        }
        let mut tokens = Vec::new();
        self.numbers.push(token, &mut tokens);
        tokens.iter().for_each(|token| self.text.word(word(token, timeline)));
    }

    fn partial(&mut self, hypothesis: &Hypothesis, clock: &Clock) {
        self.told = (hypothesis.utterance, hypothesis.text.clone());
        if self.partial_results {
            self.message(hypothesis, Pass::Streaming, clock);
        }
        self.text.output.push(Outgoing::CurrentText(hypothesis.text.clone()));
    }

    /// The utterance has ended, with this streaming text.
    fn last(&mut self, hypothesis: &Hypothesis, clock: &Clock) {
        let mut tokens = Vec::new();
        self.numbers.finish(&mut tokens);
        tokens.iter().for_each(|token| self.text.word(word(token, &clock.timeline)));
        let end_ns = hypothesis.tokens.last().map_or(0, |token| clock.timeline.pts_ns(token.end_ns));
        let (utterance, heard) = (hypothesis.utterance, self.heard.take());
        if let Some(known) = self.refiner.refine(hypothesis, heard, clock.clone()) {
            self.result(&known);
            self.text.end_utterance(utterance, end_ns);
            self.text.corrected(utterance, words(&known));
            return;
        }
        if self.told != (utterance, hypothesis.text.clone()) {
            self.partial(&Hypothesis { is_final: false, ..hypothesis.clone() }, clock);
        }
        self.text.end_utterance(utterance, end_ns);
        // A file's captions are the same however fast it is recognised.
        let finals = match (self.live, self.text.is_final()) {
            (true, _) => Vec::new(),
            (false, true) => self.refiner.hold_back(),
            (false, false) => self.refiner.settle(false, self.deadline),
        };
        self.finals(finals);
    }

    fn finals(&mut self, finals: Vec<Final>) {
        for last in finals {
            self.result(&last);
            self.text.corrected(last.refined.hypothesis.utterance, words(&last));
            for warning in last.refined.warnings {
                if !self.warned.contains(&warning) {
                    self.warned.push(warning.clone());
                    self.text.output.push(Outgoing::Warning(warning));
                }
            }
        }
    }

    /// Tells the final text of an utterance.
    fn result(&mut self, last: &Final) {
        let hypothesis = &last.refined.hypothesis;
        self.message(hypothesis, last.refined.pass, &last.clock);
        // The text of a later utterance is shown already.
        if hypothesis.utterance >= self.told.0 {
            self.text.output.push(Outgoing::CurrentText(hypothesis.text.clone()));
        }
    }

    fn message(&mut self, hypothesis: &Hypothesis, pass: Pass, clock: &Clock) {
        let message = messages::result(hypothesis, pass, self.min_confidence, |token| clock.times(token));
        self.text.output.push(Outgoing::Message(message));
    }
}

fn words(last: &Final) -> Vec<Word> {
    last.refined.hypothesis.tokens.iter().map(|token| word(token, &last.clock.timeline)).collect()
}

fn word(token: &DisplayToken, timeline: &Timeline) -> Word {
    Word {
        text: token.text.clone(),
        space_before: token.space_before,
        start_ns: timeline.pts_ns(token.start_ns),
        end_ns: timeline.pts_ns(token.end_ns),
    }
}
