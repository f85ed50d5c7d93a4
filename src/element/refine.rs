//! What becomes of final text: the second pass, hotwords, punctuation, numbers. What takes a network is done beside the
//! stream; where it fails or takes too long, the streaming text is final.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::messages::Times;
use super::settings::Settings;
use crate::engine::refine::chain::{Chain, HotwordSet, Networks, Pass, RefineOptions, Refined, refine_streaming};
use crate::engine::refine::hotwords::Hotwords;
use crate::engine::timeline::Timeline;
use crate::engine::{DisplayToken, Error, Heard, Hypothesis, Result};
use crate::scheduler::mailbox::Reply;
use crate::scheduler::{Canceller, Mailbox, OfflineClient, PunctuationClient, background};

/// No file of hotwords is read further.
const MOST_BYTES: u64 = 64 << 20;

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
        Self { stages, options, hotwords: None, stream: new_stream(), waiting, next: 0, mailbox, wake }
    }

    /// Takes the settings that may change while playing, from the next utterance on. Gives warnings.
    pub fn apply(&mut self, settings: &Settings) -> Vec<String> {
        if self.hotwords == settings.hotwords {
            return Vec::new();
        }
        self.hotwords.clone_from(&settings.hotwords);
        match hotwords(self.hotwords.as_deref().unwrap_or_default()) {
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
        self.collect_until(Instant::now(), if live { Some(PATIENCE) } else { None }, 0)
    }

    /// Waits for the final texts that are still to come, to `deadline` at the latest; what is not there then is the
    /// streaming text.
    pub fn settle(&mut self, live: bool, deadline: Option<Instant>) -> Vec<Final> {
        let patience = if live { Some(PATIENCE) } else { None };
        let mut finals = self.collect_until(deadline.unwrap_or_else(far), patience, 0);
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
                let warning = format!("the final text took longer than {PATIENCE:?}, so the streaming text is final");
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

/// The words of a setting: a list, or `@` and the name of a file.
fn hotwords(setting: &str) -> Result<Hotwords> {
    let Some(file) = setting.strip_prefix('@') else { return Hotwords::parse_list(setting) };
    let read = File::open(file).and_then(|opened| {
        let mut contents = Vec::new();
        // What is too large is told by its size; a device has none.
        opened.take(MOST_BYTES).read_to_end(&mut contents)?;
        Ok(contents)
    });
    let contents = read.map_err(|error| Error::Setting {
        name: "hotwords",
        value: setting.into(),
        expected: format!("words, or @ and a file with one a line ({error})"),
    })?;
    Hotwords::parse_file(file, &contents)
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
