//! Live streams: so many `paraformerasr` elements in one process, each with a live source that speaks without a pause.
//! Do they keep up, and does each say what it says alone?
//!
//! cargo bench --bench live -- --model DIR --streams 40 --seconds 300
//! cargo bench --bench live -- --model DIR --streams 40 --search
//!
//! Prints one JSON line, in the form of benches/peers/live.py. Delays are beyond stride and look-ahead: from when a
//! chunk's last sample could be had to when its text is there, as the element's `stats` tell. `delay_p50_ms` is the
//! median stream's median, `delay_p95_ms` the worst stream's. A run holds where nothing was skipped, that delay is below
//! 1 s, and all texts are those of the streams alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use gstparaformer::runtime::registry::{self, ModelRequest};
use gstparaformer::runtime::{LibraryRequest, ModelSource, Precision};
use serde_json::{Value, json};
use support::live::{BUFFER, BUFFER_MS, Element};
use support::search::Search;
use support::speech::{self, RATE, Speech};
use support::{need, percentile, rounded, stop};

mod support;

/// Text that comes later than this beyond the model's own delay is late, in ms.
const LATE_MS: f64 = 1000.0;
/// The streams begin within this time, as cameras do: each at another moment of its chunk.
const STAGGER_MS: f64 = 3000.0;
/// How long after its last audio a stream may take to end.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct Arguments {
    /// Model folder. Left out: the demonstration model
    #[arg(long)]
    model: Option<PathBuf>,
    /// The element's property
    #[arg(long, default_value = "int8")]
    precision: String,
    /// The element's property
    #[arg(long, default_value_t = 0)]
    threads: u32,
    #[arg(long, default_value_t = 4)]
    streams: usize,
    /// Speech of each stream, up to 600: the element knows the delays of its last 10 minutes
    #[arg(long, default_value_t = 300)]
    seconds: usize,
    /// Folder of the speech, which is made where it is missing
    #[arg(long, default_value_os_t = support::audio_folder())]
    audio: PathBuf,
    /// Do not compare the texts with those of the streams alone
    #[arg(long)]
    no_compare: bool,
    /// File that keeps the texts of the streams alone from one run to the next
    #[arg(long)]
    texts: Option<PathBuf>,
    /// Stop where audio is skipped
    #[arg(long)]
    stop_early: bool,
    /// Find the most streams that hold three times in a row, from --streams on
    #[arg(long)]
    search: bool,
    /// With --search: length of the runs that lead to the number
    #[arg(long, default_value_t = 40)]
    brief_seconds: usize,
    /// With --search: the most streams to try
    #[arg(long, default_value_t = 256)]
    most: usize,
    #[arg(long, hide = true)]
    bench: bool,
    /// With --search: another program, which takes --streams, --seconds and --stop-early
    #[arg(last = true)]
    program: Vec<String>,
}

impl Arguments {
    fn model(&self) -> PathBuf {
        self.model.clone().unwrap_or_else(support::demonstration_model)
    }

    fn element(&self, live: bool) -> Element {
        let properties = [
            ("model-path", self.model().display().to_string()),
            ("precision", self.precision.clone()),
            ("threads", self.threads.to_string()),
        ];
        Element::new(live, &properties)
    }
}

fn main() {
    let arguments = Arguments::parse();
    need(gst::init(), "GStreamer");
    need(gstparaformer::plugin_register_static(), "the element");
    if arguments.search {
        search(&arguments);
    } else {
        speech::prepare(&arguments.audio, arguments.streams, arguments.seconds);
        println!("{}", run(&arguments));
    }
}

fn search(arguments: &Arguments) {
    let text = |path: &Path| path.display().to_string();
    let mut brief = Vec::new();
    let texts = arguments.audio.join(format!("texts-{}.json", std::process::id()));
    let mut command = arguments.program.clone();
    if command.is_empty() {
        command.push(text(&need(std::env::current_exe(), "this program")));
        let (model, threads) = (text(&arguments.model()), arguments.threads.to_string());
        let (audio, texts) = (text(&arguments.audio), text(&texts));
        let own = ["--model", &model, "--precision", &arguments.precision, "--threads", &threads, "--audio", &audio];
        command.extend(own.map(String::from));
        command.extend(["--texts".to_owned(), texts]);
        brief.push("--no-compare".to_owned());
    }
    let (brief_seconds, seconds, most) = (arguments.brief_seconds, arguments.seconds, arguments.most);
    let (found, runs) =
        Search { command, audio: arguments.audio.clone(), brief, brief_seconds, seconds, most }.run(arguments.streams);
    // There is none where nothing was compared.
    let _ = fs::remove_file(texts);
    println!("{}", json!({ "streams": found, "runs": runs }));
}

/// Loads the model, which stays loaded while the result is kept.
fn load(arguments: &Arguments) -> registry::SharedModel {
    let precision = match arguments.precision.as_str() {
        "int8" => Precision::Int8,
        "int8-exact" => Precision::Int8Exact,
        "float32" => Precision::Float32,
        "auto" => Precision::Auto,
        other => stop(format!("no such precision: {other}")),
    };
    let library = LibraryRequest { threads: arguments.threads as usize, ..LibraryRequest::default() };
    let source = ModelSource::Directory(arguments.model());
    let shared = need(registry::open(&ModelRequest { source, precision, library }), "the model");
    while !shared.client.is_settled() {
        thread::sleep(Duration::from_millis(10));
    }
    shared
}

fn run(arguments: &Arguments) -> Value {
    let shared = load(arguments);
    let elements: Vec<Element> = (0..arguments.streams).map(|_| arguments.element(true)).collect();
    let (wall, processor) = (Instant::now(), support::processor_time());
    let whole = feed(arguments, &elements);
    elements.iter().for_each(|element| element.wait(PATIENCE));
    let (wall, processor) = (wall.elapsed().as_secs_f64(), support::processor_time() - processor);

    let stats: Vec<gst::Structure> = elements.iter().map(Element::stats).collect();
    let delays = |name: &str| stats.iter().map(|stats| need(stats.get::<u32>(name), name).into()).collect::<Vec<f64>>();
    let skipped_ns: u64 = stats.iter().map(|stats| need(stats.get::<u64>("skipped"), "skipped")).sum();
    let p95 = percentile(&mut delays("delay-p95"), 100);
    let mut result = json!({
        "streams": arguments.streams,
        "seconds": arguments.seconds,
        "skipped_ms": skipped_ns / 1_000_000,
        "delay_p50_ms": percentile(&mut delays("delay-p50"), 50),
        "delay_p95_ms": p95,
        "delay_max_ms": percentile(&mut delays("delay-max"), 100),
        "tokens": elements.iter().map(Element::tokens).sum::<usize>(),
        "cpu_cores": rounded(processor.as_secs_f64() / wall),
        "mean_batch": rounded(shared.client.mean_batch()),
        "peak_mb": support::memory_mb("VmHWM"),
        "rss_mb": support::memory_mb("VmRSS"),
    });
    let texts: Vec<String> = elements.iter().map(Element::text).collect();
    drop(elements);
    let mut holds = whole && skipped_ns == 0 && p95 < LATE_MS;
    // What was skipped is missing in the text.
    if holds && !arguments.no_compare {
        let alone = alone(arguments);
        let differ = texts.iter().zip(&alone).filter(|(together, alone)| together != alone).count();
        result["texts_differ"] = differ.into();
        holds = differ == 0 && texts.iter().any(|text| !text.is_empty());
    }
    result["holds"] = holds.into();
    result
}

/// When a stream begins, in ms: spread evenly, in no order.
fn begins_ms(stream: usize) -> f64 {
    // The golden ratio's multiples: any number of streams lie well apart.
    (stream as f64 * 0.618_033_988_749_895).fract() * STAGGER_MS
}

/// Speaks to all elements, in real time. False where it was broken off.
fn feed(arguments: &Arguments, elements: &[Element]) -> bool {
    let mut speeches: Vec<Speech> = (0..elements.len()).map(|stream| Speech::open(&arguments.audio, stream)).collect();
    let bases: Vec<gst::ClockTime> = elements.iter().map(Element::now).collect();
    let start = Instant::now();
    let buffers = arguments.seconds * RATE / BUFFER;
    // All buffers of all streams by the moment in which their last sample is heard.
    let mut due: BTreeMap<(Duration, usize), usize> = (0..elements.len())
        .map(|stream| ((Duration::from_secs_f64(begins_ms(stream) / 1e3) + BUFFER_MS, stream), 0))
        .collect();
    while let Some(((heard, stream), number)) = due.pop_first() {
        if arguments.stop_early && elements.iter().any(Element::has_skipped) {
            elements.iter().for_each(Element::end);
            return false;
        }
        thread::sleep(heard.saturating_sub(start.elapsed()));
        let began = bases[stream] + gst::ClockTime::from_nseconds((heard - BUFFER_MS).as_nanos() as u64);
        elements[stream].push(&speeches[stream].take(BUFFER), began);
        if number + 1 < buffers {
            due.insert((heard + BUFFER_MS, stream), number + 1);
        } else {
            elements[stream].end();
        }
    }
    true
}

/// What each stream says alone: not live, one after the other.
fn alone(arguments: &Arguments) -> Vec<String> {
    let kept = arguments.texts.as_ref().and_then(|file| fs::read_to_string(file).ok());
    let mut texts: Vec<String> = kept.and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default();
    for stream in texts.len()..arguments.streams {
        let element = arguments.element(false);
        let mut speech = Speech::open(&arguments.audio, stream);
        let mut began = gst::ClockTime::ZERO;
        for _ in 0..arguments.seconds * RATE / BUFFER {
            element.push(&speech.take(BUFFER), began);
            began += gst::ClockTime::from_nseconds(BUFFER_MS.as_nanos() as u64);
        }
        element.end();
        element.wait(PATIENCE + Duration::from_secs(arguments.seconds as u64));
        texts.push(element.text());
    }
    if let Some(file) = &arguments.texts {
        need(fs::write(file, json!(texts).to_string()), "the file of texts");
    }
    texts
}
