//! The element under test between two pads of our own, and pipelines around it. Whatever leaves the element is logged in
//! the order in which it leaves, and whatever is waited for has a time limit, so that a hang is a failure.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// 1 ms in ns.
pub const MS: u64 = 1_000_000;

/// Sets up GStreamer, with the element.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstparaformer::plugin_register_static().unwrap();
    });
}

/// Runs a test with a time limit: a hang fails instead of blocking.
pub fn within<T: Send + 'static>(limit: Duration, what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (told, done) = mpsc::channel();
    let worker = thread::Builder::new().name(what.into()).spawn(move || {
        let result = work();
        // The one who waits may have given up.
        let _ = told.send(());
        result
    });
    let worker = worker.unwrap();
    match done.recv_timeout(limit) {
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        },
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: not done after {limit:?}"),
    }
}

/// A test of the element: GStreamer is set up, and a hang fails.
pub fn element_test(work: impl FnOnce() + Send + 'static) {
    init();
    within(Duration::from_secs(120), "the test", work);
}

/// A text buffer; times in ns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    pub start: u64,
    pub end: u64,
    pub discont: bool,
}

/// What left the element.
#[derive(Debug, Clone)]
pub enum Entry {
    Text(Text),
    /// Start and end, ns.
    Gap(u64, u64),
    /// Any other event.
    Event(gst::Event),
    Message(gst::Message),
}

/// All that left the element, in order.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<(Mutex<Vec<Entry>>, Condvar)>);

impl Log {
    /// A test that fails while it waits must not spoil the log for the threads of the element.
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Entry) {
        self.lock().push(entry);
        self.0.1.notify_all();
    }

    /// All of it.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Forgets what has come.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Waits until `find` finds something.
    pub fn wait<T>(&self, what: &str, find: impl Fn(&[Entry]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut entries = self.lock();
        loop {
            if let Some(found) = find(&entries) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: waited {PATIENCE:?} for it. There is: {:#?}", brief(&entries));
            entries = self.0.1.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for an entry.
    pub fn wait_for(&self, what: &str, is: impl Fn(&Entry) -> bool) {
        self.wait(what, |entries| entries.iter().any(&is).then_some(()));
    }

    /// Waits for the end of the stream.
    pub fn wait_eos(&self) {
        self.wait_for("EOS", |entry| matches!(entry, Entry::Event(event) if event.type_() == gst::EventType::Eos));
    }

    /// Waits for a message of this type, and gives it.
    pub fn wait_message(&self, kind: gst::MessageType) -> gst::Message {
        self.wait(&format!("{kind:?}"), |entries| of_type(entries, kind).into_iter().next())
    }

    /// Text buffers.
    pub fn texts(&self) -> Vec<Text> {
        texts(&self.entries())
    }

    /// The buffers' texts, joined; the lines of one caption too.
    pub fn joined(&self) -> String {
        self.texts().iter().map(|text| text.text.replace('\n', "")).collect()
    }

    /// Results on the bus.
    pub fn results(&self) -> Vec<Outcome> {
        results(&self.entries())
    }

    /// The texts of the final results.
    pub fn finals(&self) -> Vec<String> {
        self.results().into_iter().filter(|result| result.is_final).map(|result| result.text).collect()
    }

    /// Messages of a type.
    pub fn messages(&self, kind: gst::MessageType) -> Vec<gst::Message> {
        of_type(&self.entries(), kind)
    }

    /// Errors, as text.
    pub fn errors(&self) -> Vec<String> {
        self.messages(gst::MessageType::Error).iter().map(error_text).collect()
    }

    /// Warnings, as text.
    pub fn warnings(&self) -> Vec<String> {
        self.messages(gst::MessageType::Warning).iter().map(error_text).collect()
    }
}

/// The text of an ERROR or WARNING.
pub fn error_text(message: &gst::Message) -> String {
    match message.view() {
        gst::MessageView::Error(error) => format!("{} {}", error.error(), error.debug().unwrap_or_default()),
        gst::MessageView::Warning(warning) => format!("{} {}", warning.error(), warning.debug().unwrap_or_default()),
        _ => panic!("{message:?}"),
    }
}

/// Messages of a type.
pub fn of_type(entries: &[Entry], kind: gst::MessageType) -> Vec<gst::Message> {
    let messages = entries.iter().filter_map(|entry| match entry {
        Entry::Message(message) if message.type_() == kind => Some(message.clone()),
        _ => None,
    });
    messages.collect()
}

/// Text buffers.
pub fn texts(entries: &[Entry]) -> Vec<Text> {
    let texts = entries.iter().filter_map(|entry| match entry {
        Entry::Text(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

/// A line for each entry.
pub fn brief(entries: &[Entry]) -> Vec<String> {
    let line = |entry: &Entry| match entry {
        Entry::Text(Text { text, start, end, discont }) => {
            format!("text {text:?} {} {}{}", start / MS, end / MS, if *discont { " DISCONT" } else { "" })
        }
        Entry::Gap(start, end) => format!("gap {} {}", start / MS, end / MS),
        Entry::Event(event) => match event.structure() {
            Some(structure) => format!("event {structure}"),
            None => format!("event {:?}", event.type_()),
        },
        Entry::Message(message) => match message.structure() {
            Some(structure) if message.type_() == gst::MessageType::Element => {
                let text = structure.get::<&str>("text").unwrap_or_default();
                format!("result {text} {:?} {:?}", structure.get::<u64>("utterance"), structure.get::<bool>("final"))
            }
            structure => format!("message {:?} {structure:?}", message.type_()),
        },
    };
    entries.iter().map(line).collect()
}

/// A result on the bus, its fields' types checked. Times in ns.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub text: String,
    pub is_final: bool,
    pub pass: String,
    pub utterance: u64,
    pub start: u64,
    pub end: u64,
    pub running: u64,
    pub duration: u64,
    pub tokens: Vec<Token>,
}

/// A token of a result. Equal are those that differ in nothing but a confidence's last digits, which depend on how many
/// streams share a call.
#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
    pub start: u64,
    pub end: u64,
    pub confidence: f64,
    pub doubtful: bool,
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.start, self.end, self.doubtful) == (&other.text, other.start, other.end, other.doubtful)
            && (self.confidence - other.confidence).abs() < 1e-4
    }
}

/// Results.
pub fn results(entries: &[Entry]) -> Vec<Outcome> {
    of_type(entries, gst::MessageType::Element).iter().map(|message| outcome(message.structure().unwrap())).collect()
}

/// Reads a result: exactly these fields, exactly of these types.
pub fn outcome(structure: &gst::StructureRef) -> Outcome {
    assert_eq!(structure.name(), "paraformerasr");
    assert_eq!(
        structure.fields().map(|field| field.as_str()).collect::<Vec<_>>(),
        ["text", "final", "pass", "utterance", "start-time", "end-time", "running-time", "duration", "tokens"]
    );
    let number = |name: &str| structure.get::<u64>(name).unwrap();
    let tokens = structure.get::<gst::Array>("tokens").unwrap();
    let token = |value: &glib::SendValue| {
        let token = value.get::<gst::Structure>().unwrap();
        assert_eq!(
            token.fields().map(|field| field.as_str()).collect::<Vec<_>>(),
            ["text", "start-time", "end-time", "confidence", "doubtful"]
        );
        Token {
            text: token.get("text").unwrap(),
            start: token.get("start-time").unwrap(),
            end: token.get("end-time").unwrap(),
            confidence: token.get("confidence").unwrap(),
            doubtful: token.get("doubtful").unwrap(),
        }
    };
    Outcome {
        text: structure.get("text").unwrap(),
        is_final: structure.get("final").unwrap(),
        pass: structure.get("pass").unwrap(),
        utterance: number("utterance"),
        start: number("start-time"),
        end: number("end-time"),
        running: number("running-time"),
        duration: number("duration"),
        tokens: tokens.iter().map(token).collect(),
    }
}

/// Every result's law: partials only where they differ, one final for each utterance, utterances in order from 0.
pub fn assert_results_in_order(results: &[Outcome]) {
    let mut last: HashMap<u64, (String, bool)> = HashMap::new();
    let mut ended = 0;
    for result in results {
        let before = last.insert(result.utterance, (result.text.clone(), result.is_final));
        if let Some((text, was_final)) = before {
            assert!(!was_final, "utterance {} goes on after its final", result.utterance);
            assert!(result.is_final || text != result.text, "{text} is told twice");
        }
        assert!(!result.text.is_empty() && !result.tokens.is_empty());
        assert_eq!(result.utterance, ended, "utterances follow each other: {results:#?}");
        ended += u64::from(result.is_final);
        assert!(result.tokens.is_sorted_by_key(|token| token.start), "{result:#?}");
        assert!(result.tokens.iter().all(|token| token.start <= token.end), "{result:#?}");
        assert_eq!(result.start, result.tokens[0].start);
        assert_eq!(result.end, result.tokens[result.tokens.len() - 1].end);
        assert_eq!(result.duration, result.end - result.start);
        assert!(result.tokens.iter().all(|token| (0.0..=1.0).contains(&token.confidence)));
    }
    assert!(last.values().all(|(_, was_final)| *was_final), "an utterance has no final: {last:?}");
}

/// Every timeline's law: texts and gaps follow each other, never overlapping, never going back, from `start`; text lasts.
pub fn assert_tiles(entries: &[Entry], start: u64) -> u64 {
    let mut position = start;
    for entry in entries {
        let (from, to) = match entry {
            Entry::Text(text) => {
                assert!(text.end > text.start, "{text:?}");
                assert!(text.text.split('\n').all(|line| !line.is_empty() && line.trim() == line), "{text:?}");
                (text.start, text.end)
            }
            Entry::Gap(from, to) => (*from, *to),
            _ => continue,
        };
        assert_eq!(from, position, "texts and gaps must follow each other: {:#?}", brief(entries));
        assert!(to >= from);
        position = to;
    }
    position
}

/// What the pad below the element does.
#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    flushing: bool,
    /// How many wait.
    waiting: usize,
    refusal: Option<gst::FlowError>,
}

/// The pad below the element can be closed: what comes then waits there, as in a full queue.
#[derive(Debug, Clone, Default)]
pub struct Valve(Arc<(Mutex<Gate>, Condvar)>);

impl Valve {
    fn change(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Texts and gaps wait from now on.
    pub fn close(&self) {
        self.change(|gate| gate.closed = true);
    }

    /// Lets everything through.
    pub fn open(&self) {
        self.change(|gate| gate.closed = false);
    }

    /// From now on, text is refused.
    pub fn refuse(&self, error: gst::FlowError) {
        self.change(|gate| gate.refusal = Some(error));
    }

    /// Waits until somebody waits here.
    pub fn wait_blocked(&self) {
        let gate = self.0.0.lock().unwrap();
        let (gate, _) = self.0.1.wait_timeout_while(gate, PATIENCE, |gate| gate.waiting == 0).unwrap();
        assert!(gate.waiting > 0, "nothing came that could wait");
    }

    fn pass(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut gate = self.0.0.lock().unwrap();
        gate.waiting += 1;
        self.0.1.notify_all();
        while gate.closed && !gate.flushing {
            gate = self.0.1.wait(gate).unwrap();
        }
        gate.waiting -= 1;
        if gate.flushing {
            return Err(gst::FlowError::Flushing);
        }
        gate.refusal.map_or(Ok(gst::FlowSuccess::Ok), Err)
    }
}

/// Upstream's answer to the LATENCY query: live, least and most.
pub type Latency = (bool, gst::ClockTime, Option<gst::ClockTime>);

/// The element between our pads.
pub struct Rig {
    pub element: gst::Element,
    pub log: Log,
    pub valve: Valve,
    pub latency: Arc<Mutex<Option<Latency>>>,
    /// The pad that we push from.
    pub source: gst::Pad,
    pub sink: gst::Pad,
    next: Arc<Mutex<u64>>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.valve.open();
        let _ = self.element.set_state(gst::State::Null);
    }
}

/// Settings that leave the text of a model as the goldens have it: one utterance.
pub const ONE_UTTERANCE: [(&str, &str); 2] = [("endpoint-silence", "0"), ("max-utterance-duration", "0")];

/// A new element. Properties as gst-launch-1.0 takes them.
pub fn element(properties: &[(&str, &str)]) -> gst::Element {
    init();
    let element = gst::ElementFactory::make("paraformerasr").build().unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    element
}

/// A new element with a model of the tests.
pub fn element_with_model(model: &str, properties: &[(&str, &str)]) -> gst::Element {
    let element = element(properties);
    element.set_property("model-path", super::model_directory(model).to_str().unwrap());
    element
}

impl Rig {
    /// In NULL, with a model of the tests.
    pub fn new(model: &str, properties: &[(&str, &str)]) -> Self {
        Self::around(element_with_model(model, properties), "text/x-raw")
    }

    /// In PLAYING, with the stream's first events sent.
    pub fn playing(model: &str, properties: &[(&str, &str)]) -> Self {
        let rig = Self::new(model, properties);
        rig.play();
        rig.begin();
        rig
    }

    /// In NULL; what is below takes `caps`.
    pub fn around(element: gst::Element, caps: &str) -> Self {
        let log = Log::default();
        let valve = Valve::default();
        let latency = Arc::new(Mutex::new(Some((false, gst::ClockTime::ZERO, None))));
        let bus = gst::Bus::new();
        let messages = log.clone();
        bus.set_sync_handler(move |_, message| {
            // What GStreamer itself tells of pads, tasks and states is of no interest.
            use gst::MessageType::{StateChanged, StreamStatus, StructureChange};
            if !matches!(message.type_(), StateChanged | StreamStatus | StructureChange) {
                messages.push(Entry::Message(message.clone()));
            }
            gst::BusSyncReply::Drop
        });
        element.set_bus(Some(&bus));

        let answer = latency.clone();
        let source = gst::Pad::builder(gst::PadDirection::Src)
            .name("source")
            .query_function(move |pad, parent, query| match query.view_mut() {
                gst::QueryViewMut::Latency(query) => {
                    let answer = *answer.lock().unwrap();
                    answer.map(|(live, min, max)| query.set(live, min, max)).is_some()
                }
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .build();
        let (template, events) = (caps.parse::<gst::Caps>().unwrap(), (log.clone(), valve.clone()));
        let template =
            gst::PadTemplate::new("below", gst::PadDirection::Sink, gst::PadPresence::Always, &template).unwrap();
        let (texts, gate) = (log.clone(), valve.clone());
        let sink = gst::Pad::builder_from_template(&template)
            .chain_function(move |_, _, buffer| {
                gate.pass()?;
                let (pts, duration) = (buffer.pts().unwrap(), buffer.duration().unwrap());
                let map = buffer.map_readable().unwrap();
                texts.push(Entry::Text(Text {
                    text: std::str::from_utf8(&map).unwrap().into(),
                    start: pts.nseconds(),
                    end: (pts + duration).nseconds(),
                    discont: buffer.flags().contains(gst::BufferFlags::DISCONT),
                }));
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(move |_, _, event| {
                let (log, gate) = &events;
                match event.view() {
                    gst::EventView::FlushStart(_) => gate.change(|gate| gate.flushing = true),
                    gst::EventView::FlushStop(_) => gate.change(|gate| gate.flushing = false),
                    gst::EventView::Gap(gap) => {
                        if gate.pass() == Err(gst::FlowError::Flushing) {
                            return false;
                        }
                        let (start, duration) = gap.get();
                        log.push(Entry::Gap(start.nseconds(), (start + duration.unwrap()).nseconds()));
                        return true;
                    }
                    _ => {}
                }
                log.push(Entry::Event(event));
                true
            })
            .build();
        source.set_active(true).unwrap();
        sink.set_active(true).unwrap();
        source.link(&element.static_pad("sink").unwrap()).unwrap();
        element.static_pad("src").unwrap().link(&sink).unwrap();
        Self { element, log, valve, latency, source, sink, next: Arc::default() }
    }

    /// To PLAYING.
    pub fn play(&self) {
        self.element.set_state(gst::State::Playing).unwrap();
    }

    /// To a state that must be reached, soon.
    pub fn set_state(&self, state: gst::State) {
        let element = self.element.clone();
        let change = within(PATIENCE, "the state change", move || element.set_state(state));
        assert_eq!(change, Ok(gst::StateChangeSuccess::Success), "{:?}", self.log.errors());
    }

    /// Sends the events that a stream of S16LE begins with.
    pub fn begin(&self) {
        self.send(gst::event::StreamStart::builder("upstream").group_id(group()).build());
        self.send(caps_event("S16LE"));
        self.segment(0);
    }

    /// Sends an event.
    pub fn send(&self, event: gst::Event) -> bool {
        self.source.push_event(event)
    }

    /// Sends a segment from `start` on, its running time 0. Samples go on from there.
    pub fn segment(&self, start: u64) {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::from_nseconds(start));
        segment.set_time(gst::ClockTime::from_nseconds(start));
        assert!(self.send(gst::event::Segment::new(&segment)));
        self.jump(start);
    }

    /// The next sample pushed is at this PTS, ns.
    pub fn jump(&self, pts: u64) {
        *self.next.lock().unwrap() = pts;
    }

    /// The PTS of the next sample, ns.
    pub fn position(&self) -> u64 {
        *self.next.lock().unwrap()
    }

    /// Pushes samples, S16LE, in buffers of 100 ms that follow each other.
    pub fn push(&self, samples: &[f32]) -> Result<gst::FlowSuccess, gst::FlowError> {
        for part in samples.chunks(1600) {
            let mut next = self.next.lock().unwrap();
            let buffer = buffer(&s16(part), Some(*next), part.len());
            *next += part.len() as u64 * 62_500;
            drop(next);
            self.source.push(buffer)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Pushes EOS and waits until it has come through.
    pub fn end(&self) {
        assert!(self.send(gst::event::Eos::new()), "EOS is refused: {:?}", self.log.errors());
        self.log.wait_eos();
    }

    /// Pushes a flush, and checks that it takes no time; both halves on this thread.
    pub fn flush(&self) {
        let start = Instant::now();
        assert!(self.send(gst::event::FlushStart::new()));
        assert!(self.send(gst::event::FlushStop::new(true)));
        let took = start.elapsed();
        assert!(took < Duration::from_millis(200), "the flush took {took:?}");
    }

    /// The field `name` of the property `stats`.
    pub fn stat(&self, name: &str) -> u64 {
        self.element.property::<gst::Structure>("stats").get(name).unwrap()
    }

    /// Waits until a condition on the element holds.
    pub fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: waited {PATIENCE:?} for it");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// In READY: waits until the model is loaded, or cannot be.
    pub fn wait_loaded(&self) {
        self.wait_until("the model", |rig| rig.log.messages(gst::MessageType::Progress).len() != 1);
    }

    /// Waits until everything pushed has been taken out of the queue.
    pub fn wait_taken(&self) {
        self.wait_until("an empty queue", |rig| rig.stat("queued") == 0);
    }
}

/// The group of the streams of a test.
pub fn group() -> gst::GroupId {
    static GROUP: std::sync::LazyLock<gst::GroupId> = std::sync::LazyLock::new(gst::GroupId::next);
    *GROUP
}

/// The caps of 16 kHz mono.
pub fn audio_caps(format: &str) -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", format)
        .field("rate", 16000)
        .field("channels", 1)
        .field("layout", "interleaved")
        .build()
}

/// The event of these caps.
pub fn caps_event(format: &str) -> gst::Event {
    gst::event::Caps::new(&audio_caps(format))
}

/// Samples as S16LE. What was read from a WAV comes back bit for bit.
pub fn s16(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| ((sample * 32768.0) as i16).to_le_bytes()).collect()
}

/// Samples as F32LE.
pub fn f32(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A buffer of `samples` samples.
pub fn buffer(bytes: &[u8], pts: Option<u64>, samples: usize) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(pts.map(gst::ClockTime::from_nseconds));
    writable.set_duration(gst::ClockTime::from_nseconds(samples as u64 * 62_500));
    buffer
}

/// All of a stream: what the element gives for samples, from the start to EOS.
pub fn run(model: &str, properties: &[(&str, &str)], samples: &[f32]) -> Log {
    let rig = Rig::playing(model, properties);
    rig.push(samples).unwrap();
    rig.end();
    rig.log.clone()
}

/// A copy of a model's folder: the registry knows it for another model, which is loaded anew.
pub fn copy_of(model: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_files(&super::model_directory(model), folder.path());
    folder
}

/// Copies the files of a folder.
pub fn copy_files(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Runs a test of this binary in a process of its own, with the environment changed; gives what it printed, and fails
/// where it fails. In that process, [`is_child`] is true.
pub fn in_child(test: &str, environment: &[(&str, Option<&str>)]) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--include-ignored"]).env("PARAFORMER_TEST_CHILD", test);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = within(Duration::from_secs(120), test, move || command.output().unwrap());
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in a process of its own: {}\n{told}", output.status);
    assert!(told.contains("1 passed"), "{told}");
}

/// Whether this process was started by [`in_child`] for this test.
pub fn is_child(test: &str) -> bool {
    std::env::var("PARAFORMER_TEST_CHILD").is_ok_and(|name| name == test)
}
