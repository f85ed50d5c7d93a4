//! What the benches of many streams share: the speech of each, and what the process has used.
#![allow(dead_code, reason = "each bench uses a part of it")]

#[cfg(feature = "plugin")]
pub mod live;
pub mod search;
pub mod speech;

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A benchmark that cannot run says why and stops, whatever its other threads wait for.
pub fn stop(why: impl Display) -> ! {
    eprintln!("{why}");
    std::process::exit(1);
}

/// The value, or the end of the benchmark.
pub fn need<T, E: Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| stop(format!("{what}: {error}")))
}

/// Where the speech of the streams lies if nothing else is said.
pub fn audio_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("peers-audio")
}

/// The built-in model's folder.
pub fn demonstration_model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/demo")
}

/// How long the process has run on processors, user and system, threads that have ended too.
pub fn processor_time() -> Duration {
    let text = need(fs::read_to_string("/proc/self/stat"), "/proc/self/stat");
    // The second field is the program's name in brackets, and may hold anything. Times are in hundredths of a second.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

/// The process's memory in MB: `VmHWM` is the most it ever had, `VmRSS` what it has now.
pub fn memory_mb(field: &str) -> u64 {
    let text = need(fs::read_to_string("/proc/self/status"), "/proc/self/status");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kb.unwrap_or_else(|| stop(format!("/proc/self/status has no {field}"))) / 1024
}

/// The value that `part` percent are not above; 0 for none.
pub fn percentile(values: &mut [f64], part: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * part / 100).min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// Two digits after the point are enough to read.
pub fn rounded(value: f64) -> f64 {
    (100.0 * value).round() / 100.0
}
