//! What becomes of final text: the second pass, hotwords, punctuation, numbers. What takes a network is done beside the
//! stream; where it fails or takes too long, the streaming text is final.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::hotwords;
use super::messages::Times;
use super::settings::Settings;
use crate::engine::refine::chain::{Chain, HotwordSet, Networks, Pass, RefineOptions, Refined, refine_streaming};
use crate::engine::timeline::Timeline;
use crate::engine::{DisplayToken, Heard, Hypothesis};
use crate::scheduler::mailbox::Reply;
use crate::scheduler::{Canceller, Mailbox, OfflineClient, PunctuationClient, background};

/// How long a live stream waits for a final text before it takes the streaming text.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many final texts a stream that is not live may be ahead of.
const MOST_WAITING: usize = 4;

/// The clock of an utterance: audio that comes later may have another.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    pub timeline: Timeline,
    pub segment: gst::FormattedSegment<gst::ClockTime>,
}

impl Clock {
    /// The times of a token.
    pub fn times(&self, token: &DisplayToken) -> Times {
        let pts = |ns| gst::ClockTime::from_nseconds(self.timeline.pts_ns(ns));
        let (start, end) = (pts(token.start_ns), pts(token.end_ns));
        let stream = |pts: gst::ClockTime| self.segment.to_stream_time(pts).unwrap_or(pts).nseconds();
        let running = self.segment.to_running_time(start).unwrap_or(start).nseconds();
        Times { start_ns: stream(start), end_ns: stream(end), running_ns: running }
    }
}

/// The final text of an utterance.
#[derive(Debug)]
pub struct Final {
    pub refined: Refined,
    pub clock: Clock,
}

/// The stages that take a network, and the ways to these. The background works with it.
pub struct Stages {
    /// The stream that the chain is in the middle of.
    pub stream: u64,
    pub chain: Chain,
    pub offline: Option<OfflineClient>,
    pub punctuation: Option<PunctuationClient>,
}

/// An utterance whose final text is to come.
struct Waiting {
    number: u64,
    hypothesis: Hypothesis,
    clock: Clock,
    since: Instant,
}

/// What happens to the final results of one stream.
pub struct Refiner {
    stages: Option<Arc<Mutex<Stages>>>,
    options: RefineOptions,
    /// The setting that the hotwords are from.
    hotwords: Option<String>,
    /// Tells the streams of the process apart, those after a flush too.
    stream: u64,
    waiting: VecDeque<Waiting>,
    /// How long a live stream waits.
    patience: Duration,
    next: u64,
    mailbox: Arc<Mailbox<Refined>>,
    /// Tells the stream that there is something to collect.
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Refiner {
    /// At the start of a stream; without `stages` no network is asked.
    pub fn new(stages: Option<Arc<Mutex<Stages>>>, settings: &Settings, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let options = RefineOptions {
            hotwords: Arc::default(),
            spacing: settings.engine_spacing(),
            numbers: settings.inverse_text_normalization,
        };
        let (waiting, mailbox) = (VecDeque::new(), Arc::default());
        let (stream, patience) = (new_stream(), PATIENCE);
        Self { stages, options, hotwords: None, stream, waiting, patience, next: 0, mailbox, wake }
    }

    /// Takes the settings that may change while playing, from the next utterance on. Gives warnings.
    pub fn apply(&mut self, settings: &Settings) -> Vec<String> {
        if self.hotwords == settings.hotwords {
            return Vec::new();
        }
        self.hotwords.clone_from(&settings.hotwords);
        match hotwords::read(self.hotwords.as_deref().unwrap_or_default()) {
            Ok(words) => {
                let warnings = words.warnings().to_vec();
                self.options.hotwords = Arc::new(HotwordSet::new(words));
                warnings
            }
            Err(error) => {
                self.options.hotwords = Arc::default();
                vec![format!("captions go on without hotwords: {error}")]
            }
        }
    }

    /// What is asked for.
    pub fn options(&self) -> &RefineOptions {
        &self.options
    }

    /// Whether the final text may have other words than the streaming text, or more.
    pub fn rewrites(&self) -> bool {
        self.stages.is_some() || !self.options.hotwords.words.is_empty()
    }

    /// Takes the streaming text of an utterance that has ended. Gives its final text where that is known at once; else
    /// [`collect`](Self::collect) has it later.
    pub fn refine(&mut self, hypothesis: &Hypothesis, heard: Option<Heard>, clock: Clock) -> Option<Final> {
        let Some(stages) = &self.stages else {
            let hypothesis = refine_streaming(hypothesis, &self.options);
            return Some(Final { refined: streaming(hypothesis, Vec::new()), clock });
        };
        let number = self.next;
        self.next += 1;
        let work = Work {
            reply: self.mailbox.reply(number),
            wake: self.wake.clone(),
            stages: stages.clone(),
            hypothesis: hypothesis.clone(),
            heard,
            stream: self.stream,
            options: self.options.clone(),
        };
        // Work that cannot be done says so, as it is dropped.
        let _ = background::run(move || work.run());
        self.waiting.push_back(Waiting { number, hypothesis: hypothesis.clone(), clock, since: Instant::now() });
        None
    }

    /// The final texts that are there, in order, and those that have taken too long in a live stream.
    pub fn collect(&mut self, live: bool) -> Vec<Final> {
        self.collect_until(Instant::now(), live.then_some(self.patience), 0)
    }

    /// Waits for the final texts that are still to come, to `deadline` at the latest; what is not there then is the
    /// streaming text.
    pub fn settle(&mut self, live: bool, deadline: Option<Instant>) -> Vec<Final> {
        let mut finals = self.collect_until(deadline.unwrap_or_else(far), live.then_some(self.patience), 0);
        finals.extend(self.abandon());
        finals
    }

    /// Waits where a stream that is not live is too far ahead of its final texts.
    pub fn hold_back(&mut self) -> Vec<Final> {
        self.collect_until(far(), None, MOST_WAITING)
    }

    /// The streaming texts of all utterances whose final text is still to come.
    pub fn abandon(&mut self) -> Vec<Final> {
        self.mailbox.forget_before(self.next);
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|waiting| self.final_text(waiting, None)).collect()
    }

    /// Forgets everything that is still to come: a flush, or a new stream.
    pub fn reset(&mut self) {
        self.waiting.clear();
        self.mailbox.forget_before(self.next);
        self.stream = new_stream();
    }

    /// Breaks off the wait for final texts.
    pub fn canceller(&self) -> Canceller {
        self.mailbox.canceller()
    }

    /// Collects until at most `most` are to come or it is `deadline`.
    fn collect_until(&mut self, deadline: Instant, patience: Option<Duration>, most: usize) -> Vec<Final> {
        let mut finals = Vec::new();
        loop {
            while let Some((number, mut refined)) = self.mailbox.take() {
                // What came too late, or before a flush, is not waited for; what should have come before never will.
                while let Some(waiting) = self.next_waiting(|waiting| waiting.number <= number) {
                    let refined = if waiting.number == number { refined.take() } else { None };
                    finals.push(self.final_text(waiting, refined));
                }
            }
            let now = Instant::now();
            let late = |waiting: &Waiting| patience.is_some_and(|patience| now >= waiting.since + patience);
            while let Some(waiting) = self.next_waiting(late) {
                let limit = self.patience;
                let warning = format!("the final text took longer than {limit:?}, so the streaming text is final");
                self.mailbox.forget_before(waiting.number + 1);
                let refined = self.fall_back(&waiting, vec![warning]);
                finals.push(self.final_text(waiting, Some(refined)));
            }
            let Some(first) = self.waiting.front() else { return finals };
            let until = patience.map_or(deadline, |patience| deadline.min(first.since + patience));
            if self.waiting.len() <= most || now >= deadline || !self.mailbox.wait(until) {
                return finals;
            }
        }
    }

    /// Takes the utterance that has waited longest, if it is such a one.
    fn next_waiting(&mut self, is: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        self.waiting.front().is_some_and(is).then(|| self.waiting.pop_front()).flatten()
    }

    fn final_text(&self, waiting: Waiting, refined: Option<Refined>) -> Final {
        let refined = refined.unwrap_or_else(|| self.fall_back(&waiting, Vec::new()));
        Final { refined, clock: waiting.clock }
    }

    fn fall_back(&self, waiting: &Waiting, warnings: Vec<String>) -> Refined {
        streaming(refine_streaming(&waiting.hypothesis, &self.options), warnings)
    }
}

fn streaming(hypothesis: Hypothesis, warnings: Vec<String>) -> Refined {
    Refined { hypothesis, pass: Pass::Streaming, warnings }
}

fn new_stream() -> u64 {
    static STREAMS: AtomicU64 = AtomicU64::new(1);
    STREAMS.fetch_add(1, Ordering::Relaxed)
}

/// Later than anything is waited for.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// What the background does for one utterance.
struct Work {
    reply: Reply<Refined>,
    wake: Arc<dyn Fn() + Send + Sync>,
    stages: Arc<Mutex<Stages>>,
    hypothesis: Hypothesis,
    heard: Option<Heard>,
    stream: u64,
    options: RefineOptions,
}

impl Work {
    fn run(self) {
        if !self.reply.is_wanted() {
            return;
        }
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let Stages { stream, chain, offline, punctuation } = &mut *stages;
        if std::mem::replace(stream, self.stream) != self.stream {
            chain.reset();
        }
        let mut networks = Networks {
            offline: offline.as_mut().map(|client| client as _),
            punctuation: punctuation.as_mut().map(|client| client as _),
        };
        // Its only error is that it was broken off.
        let refined = chain.refine(&mut networks, &self.hypothesis, self.heard.as_ref(), &self.options).ok();
        drop(stages);
        self.reply.send(refined);
        (self.wake)();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;
    use crate::engine::frontend::cmvn::Cmvn;
    use crate::engine::frontend::{FEATURE_DIM, MEL_BINS};
    use crate::engine::refine::offline::network::{OfflineInput, OfflineNetwork, OfflineOutput};
    use crate::engine::refine::offline::{OfflineKind, OfflineModel};
    use crate::engine::vocabulary::Vocabulary;
    use crate::engine::{Error, Result};
    use crate::scheduler::OfflineWorker;

    /// Says that it begins, and hears the second piece of its vocabulary when it is let.
    struct Gated(mpsc::Sender<()>, mpsc::Receiver<bool>);

    impl OfflineNetwork for Gated {
        fn recognise(&mut self, _input: OfflineInput<'_>, output: &mut OfflineOutput) -> Result<()> {
            // The test may be over.
            let _ = self.0.send(());
            match self.1.recv() {
                Ok(true) => {
                    *output = OfflineOutput { logits: vec![-9.0, -0.1], token_num: 1, ..OfflineOutput::default() };
                    Ok(())
                }
                _ => Err(Error::network("made to fail")),
            }
        }

        fn embed(&mut self, _ids: &[i32], _embedded: &mut Vec<f32>) -> Result<()> {
            Err(Error::network("it takes no hotwords"))
        }
    }

    /// A refiner, what says that its second pass begins, and what lets it through.
    fn refiner() -> (Refiner, mpsc::Receiver<()>, mpsc::Sender<bool>) {
        gst::init().unwrap();
        let ((begins, begun), (gate, gated)) = (mpsc::channel(), mpsc::channel());
        let worker =
            OfflineWorker::spawn("offline", Duration::ZERO, (), || Ok(vec![Box::new(Gated(begins, gated)) as _]));
        let (_, client) = worker.unwrap();
        let cmvn = Cmvn::new(Path::new(""), FEATURE_DIM, vec![0.0; FEATURE_DIM], vec![1.0; FEATURE_DIM]).unwrap();
        let vocabulary = Vocabulary::new(vec!["甲".into(), "乙".into()]);
        let model = OfflineModel::new(OfflineKind::of(false, false), 0, cmvn, vocabulary);
        let chain = Chain::new(Some(Arc::new(model)), None);
        let stages = Stages { stream: 0, chain, offline: Some(client), punctuation: None };
        let stages = Some(Arc::new(Mutex::new(stages)));
        let mut refiner = Refiner::new(stages, &Settings::default(), Arc::new(|| {}));
        refiner.patience = Duration::from_millis(300);
        (refiner, begun, gate)
    }

    fn say(refiner: &mut Refiner, utterance: u64) {
        let token = DisplayToken { text: "甲".into(), space_before: false, start_ns: 0, end_ns: 100, confidence: 0.5 };
        let said =
            Hypothesis { utterance, text: "甲".into(), tokens: vec![token], is_final: true, ..Hypothesis::default() };
        let heard = Heard { frames: vec![0.0; 50 * MEL_BINS], start_ns: 0 };
        assert!(refiner.refine(&said, Some(heard), Clock::default()).is_none());
    }

    fn told(finals: &[Final]) -> Vec<(u64, &str, Pass, usize)> {
        let told = |last: &Final| {
            let Refined { hypothesis, pass, warnings } = &last.refined;
            (hypothesis.utterance, hypothesis.tokens[0].text.clone(), *pass, warnings.len())
        };
        let told = finals.iter().map(told).map(|(utterance, text, pass, warnings)| {
            (utterance, if text == "甲" { "甲" } else { "乙" }, pass, warnings)
        });
        told.collect()
    }

    #[test]
    fn a_live_stream_waits_no_longer_than_it_can() {
        let (mut refiner, begun, gate) = refiner();
        let started = Instant::now();
        say(&mut refiner, 0);
        begun.recv().unwrap();
        say(&mut refiner, 1);
        assert_eq!(told(&refiner.collect(true)), []);
        // Nothing comes: the streaming text is final, and the reason is said.
        let late = refiner.settle(true, None);
        assert_eq!(told(&late), [(0, "甲", Pass::Streaming, 1), (1, "甲", Pass::Streaming, 1)]);
        assert!((300..3000).contains(&(started.elapsed().as_millis() as u64)));
        // What was waited for in vain is not made up for; what is new is done.
        gate.send(true).unwrap();
        say(&mut refiner, 2);
        begun.recv().unwrap();
        gate.send(true).unwrap();
        assert_eq!(told(&refiner.settle(true, None)), [(2, "乙", Pass::Offline, 0)]);
        // A failure is no wait.
        say(&mut refiner, 3);
        begun.recv().unwrap();
        gate.send(false).unwrap();
        assert_eq!(told(&refiner.settle(false, None)), [(3, "甲", Pass::Streaming, 1)]);
    }

    #[test]
    fn a_flush_and_an_end_are_not_held_up() {
        let (mut refiner, begun, gate) = refiner();
        say(&mut refiner, 0);
        begun.recv().unwrap();
        refiner.reset();
        gate.send(true).unwrap();
        say(&mut refiner, 0);
        begun.recv().unwrap();
        gate.send(true).unwrap();
        assert_eq!(told(&refiner.settle(false, None)), [(0, "乙", Pass::Offline, 0)]);
        // Broken off, or out of time: what is known is final.
        say(&mut refiner, 1);
        refiner.canceller().cancel();
        assert_eq!(told(&refiner.settle(false, None)), [(1, "甲", Pass::Streaming, 0)]);
        refiner.canceller().resume();
        say(&mut refiner, 2);
        let soon = Instant::now() + Duration::from_millis(50);
        assert_eq!(told(&refiner.settle(false, Some(soon))), [(2, "甲", Pass::Streaming, 0)]);
        drop(gate);
    }
}
