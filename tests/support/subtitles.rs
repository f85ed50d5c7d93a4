//! `rtsp_subtitles` in a process of its own, with a camera in front of it: the example's own, whose truth is known.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../examples/rtsp_subtitles/camera.rs"]
pub mod camera;
#[path = "../../examples/rtsp_subtitles/delay.rs"]
pub mod delay;
#[path = "../../examples/rtsp_subtitles/failure.rs"]
pub mod failure;
#[path = "../../examples/rtsp_subtitles/news.rs"]
pub mod news;
#[path = "../../examples/rtsp_subtitles/serving.rs"]
pub mod serving;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use camera::{RATE, Scene};
use delay::{Seen, Sentence, script};
use gst::prelude::*;

/// Silence before the first sentence.
const LEAD_S: u64 = 2;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Sets up GStreamer, with the element.
pub fn init() {
    gst::init().unwrap();
    gstparaformer::plugin_register_static().unwrap();
}

/// What the camera hears, and what is in it: its words, and the samples where they begin and end.
pub fn scene() -> (Arc<Scene>, Vec<Sentence>) {
    // That may take its time: nobody has spoken yet.
    program();
    let mut samples = vec![0; (LEAD_S * RATE) as usize];
    let mut recording = hound::WavReader::open(root().join("examples/recording.wav")).unwrap();
    samples.extend(recording.samples::<i16>().map(Result::unwrap));
    let model = root().join("models/demo");
    let script = script(&samples, |asr| {
        asr.set_property("model-path", model.to_str());
        Ok(())
    });
    let script = script.unwrap_or_else(|failure| panic!("{failure}"));
    let spoken = std::fs::read_to_string(root().join("examples/recording.txt")).unwrap();
    assert_eq!(
        script.iter().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>(),
        spoken.lines().collect::<Vec<_>>()
    );
    (Scene::begin(samples), script)
}

/// The program, built from these very sources: `cargo test --test` alone does not build examples.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(root()).args(["build", "--locked", "--offline", "--quiet", "--example", "rtsp_subtitles"]);
        build.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the example does not build");
        profile.join("examples/rtsp_subtitles")
    })
}

/// A line that the program printed, and when it came.
#[derive(Debug, Clone)]
pub struct Line {
    pub when: Instant,
    pub text: String,
    /// On standard error.
    pub is_error: bool,
}

impl Line {
    /// Of a caption: its time in s, its text, and whether it grows no more.
    pub fn caption(&self) -> Option<(f64, String, bool)> {
        let (clock, text) = self.text.split_once("  ").filter(|_| !self.is_error)?;
        let grown = text.strip_suffix(" ...");
        Some((seconds(clock), grown.unwrap_or(text).to_owned(), grown.is_none()))
    }
}

/// Hours, minutes and seconds.
pub fn seconds(clock: &str) -> f64 {
    clock.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

/// The program while it runs.
pub struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
    pub started: Instant,
}

impl Program {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments).args(["--set", &format!("model-path={}", root().join("models/demo").display())]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
        let readers: [(Box<dyn Read + Send>, bool); 2] =
            [(Box::new(child.stdout.take().unwrap()), false), (Box::new(child.stderr.take().unwrap()), true)];
        for (reader, is_error) in readers {
            let lines = lines.clone();
            thread::spawn(move || {
                for text in BufReader::new(reader).lines().map_while(Result::ok) {
                    let line = Line { when: Instant::now(), text, is_error };
                    lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            });
        }
        Self { child, lines, started: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was printed, in the order of time.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = self.lock().clone();
        lines.sort_by_key(|line| line.when);
        lines
    }

    /// Waits until `find` finds something in what was printed.
    pub fn wait<T>(&self, what: &str, limit: Duration, find: impl Fn(&[Line]) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            let lines = self.lines();
            if let Some(found) = find(&lines) {
                return found;
            }
            assert!(started.elapsed() < limit, "{what}: waited {limit:?} for it. There is: {lines:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until as many lines of standard error hold `text`.
    pub fn wait_error(&self, text: &str, count: usize, limit: Duration) -> Line {
        let holds = |line: &&Line| line.is_error && line.text.contains(text);
        self.wait(text, limit, |lines| lines.iter().filter(holds).nth(count - 1).cloned())
    }

    /// Ctrl-C, and what comes of it.
    pub fn interrupt(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it printed last is still to be read.
                thread::sleep(Duration::from_millis(200));
                return status;
            }
            assert!(asked.elapsed() < Duration::from_secs(10), "Ctrl-C does not end it: {:#?}", self.lines());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The captions on standard output, each with the number of the connection that it came from.
    pub fn seen(&self) -> Vec<Seen> {
        let mut connection = 0;
        let seen = self.lines().into_iter().filter_map(|line| {
            connection += usize::from(line.is_error && line.text == "rtsp_subtitles: live");
            let (_, text, is_final) = line.caption()?;
            Some(Seen { when: line.when, text, is_final, connection })
        });
        seen.collect()
    }

    /// The finished lines: time in s, and text.
    pub fn finished(&self) -> Vec<(f64, String)> {
        let captions = self.lines().into_iter().filter_map(|line| line.caption());
        captions.filter(|(_, _, is_final)| *is_final).map(|(start, text, _)| (start, text)).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
