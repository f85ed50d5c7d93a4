//! What the user sees while the files are done: bars on a terminal, else lines.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::subtitles::hours;

/// How often a line says how far everything is, where there is no terminal.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// The steps of a bar.
const STEPS: u64 = 10_000;

/// The state of the whole run.
pub struct Progress {
    bars: MultiProgress,
    is_terminal: bool,
    quiet: bool,
    total: ProgressBar,
    started: Instant,
    files: usize,
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    files_done: usize,
    /// Of the files that are to be done; what a file is in part counts in part.
    bytes: f64,
    bytes_done: f64,
    /// Of audio that was recognised.
    audio_ms: u64,
    reported: Option<Instant>,
}

impl Progress {
    /// For so many files, of so many bytes together.
    pub fn new(files: usize, bytes: u64, quiet: bool) -> Self {
        let is_terminal = console_is_terminal() && !quiet;
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let total = if files > 1 { bars.add(bar("total")) } else { ProgressBar::hidden() };
        total.set_message(format!("0 of {files} files"));
        let sums = Mutex::new(Sums { bytes: bytes as f64, ..Sums::default() });
        Self { bars, is_terminal, quiet, total, started: Instant::now(), files, sums }
    }

    /// A file is begun.
    pub fn begin(&self, name: &str, bytes: u64) -> FileProgress<'_> {
        let bar = self.bars.insert_from_back(usize::from(self.files > 1), bar(name));
        let start = Cell::new((Instant::now(), None));
        FileProgress {
            progress: self,
            bar,
            bytes: bytes as f64,
            start,
            counted: Cell::new(0.0),
            audio_ms: Cell::new(0),
        }
    }

    /// A line for the user.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.print(line);
        }
    }

    /// A line about something wrong.
    pub fn warn(&self, line: &str) {
        self.print(&format!("caption_file: {line}"));
    }

    fn print(&self, line: &str) {
        if self.is_terminal {
            // Where the terminal is gone, nobody reads it.
            let _ = self.bars.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    /// The bars go.
    pub fn finish(&self) {
        self.total.finish_and_clear();
        let _ = self.bars.clear();
    }

    /// Audio recognised, in ms, and the time since the start.
    pub fn recognised(&self) -> (u64, Duration) {
        (self.sums().audio_ms, self.started.elapsed())
    }

    fn sums(&self) -> std::sync::MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) {
        let mut sums = self.sums();
        let elapsed = self.started.elapsed();
        let share = if sums.bytes > 0.0 { (sums.bytes_done / sums.bytes).clamp(0.0, 1.0) } else { 0.0 };
        let left = time_left(elapsed, share);
        let state = format!("{} of {} files, {} {left}", sums.files_done, self.files, speed(sums.audio_ms, elapsed));
        self.total.set_position((share * STEPS as f64) as u64);
        self.total.set_message(state.clone());
        if !self.is_terminal && sums.reported.unwrap_or(self.started).elapsed() > REPORT_EVERY {
            sums.reported = Some(Instant::now());
            drop(sums);
            self.say(&format!("{:.0} %: {state}", share * 100.0));
        }
    }
}

/// The state of one file.
pub struct FileProgress<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
    bytes: f64,
    /// When its stage began, and where in the file.
    start: Cell<(Instant, Option<u64>)>,
    /// Its bytes that the sums have.
    counted: Cell<f64>,
    /// Its audio that the sums have.
    audio_ms: Cell<u64>,
}

impl FileProgress<'_> {
    /// Recognition has come to `ms`.
    pub fn at(&self, ms: u64, duration_ms: Option<u64>) {
        let (elapsed, first) = self.since_start(ms);
        self.progress.sums().audio_ms += (ms - first).saturating_sub(self.audio_ms.replace(ms - first));
        self.show(ms, first, duration_ms, elapsed, "");
    }

    /// A film is written, up to `ms`. Its captions are known: for the sums most is done.
    pub fn writing(&self, ms: u64, duration_ms: Option<u64>) {
        let (elapsed, first) = self.since_start(ms);
        self.show(ms, first, duration_ms, elapsed, "writing the film, ");
    }

    /// The next stage begins.
    pub fn stage(&self) {
        self.start.set((Instant::now(), None));
    }

    /// Nothing is left to do for this file: `skipped` tells that nothing was.
    pub fn done(&self, skipped: bool) {
        let mut sums = self.progress.sums();
        sums.files_done += 1;
        if skipped {
            sums.bytes -= self.bytes;
        } else {
            sums.bytes_done += self.bytes - self.counted.replace(self.bytes);
        }
        drop(sums);
        self.bar.finish_and_clear();
        self.progress.show();
    }

    /// How long this stage has run, and where in the file it began.
    fn since_start(&self, ms: u64) -> (Duration, u64) {
        let (at, first) = self.start.get();
        let first = first.unwrap_or(ms);
        self.start.set((at, Some(first)));
        (at.elapsed(), first)
    }

    fn show(&self, ms: u64, first: u64, duration_ms: Option<u64>, elapsed: Duration, stage: &str) {
        let speed = speed(ms - first, elapsed);
        let message = match duration_ms.filter(|&duration| duration > 0) {
            Some(duration) => {
                let share = (ms as f64 / duration as f64).min(1.0);
                self.bar.set_position((share * STEPS as f64) as u64);
                if stage.is_empty() {
                    let now = share * self.bytes;
                    self.progress.sums().bytes_done += now - self.counted.replace(now);
                }
                let rest = duration.saturating_sub(first).max(1) as f64;
                let left = time_left(elapsed, (ms - first) as f64 / rest);
                format!("{stage}{} of {}, {speed} {left}", hours(ms), hours(duration))
            }
            None => format!("{stage}{}, {speed}", hours(ms)),
        };
        self.bar.set_message(message);
        self.progress.show();
    }
}

fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(STEPS).with_prefix(name.to_owned());
    match ProgressStyle::with_template("{prefix:30!} {bar:20} {percent:>3} %  {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn console_is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

/// How many times as fast as real time.
pub fn speed(ms: u64, elapsed: Duration) -> String {
    format!("{:.1}x", ms as f64 / 1000.0 / elapsed.as_secs_f64().max(0.001))
}

/// The time left where `share` of the work took `elapsed`; empty where that is not known yet.
fn time_left(elapsed: Duration, share: f64) -> String {
    if share < 0.001 || elapsed < Duration::from_secs(1) {
        return String::new();
    }
    let left = elapsed.as_secs_f64() * (1.0 - share.min(1.0)) / share;
    format!("{} left", hours((left * 1000.0) as u64))
}
