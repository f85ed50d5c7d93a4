//! Caption files, judged by others' parsers and by rules that share no code with the element: tests/tools/check_captions.py.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::Path;
use std::process::Command;

/// What a caption may be, where it is not what the element's defaults make of it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Full-width characters of a line.
    pub max_line_chars: u32,
    pub max_lines: u32,
    /// Unless the next caption follows at once.
    pub min_duration_ms: u32,
    pub max_duration_ms: u32,
    /// Full-width characters a second, unless the next caption follows at once; 0: no limit.
    pub max_reading_speed: u32,
    /// A file without captions is right: nobody spoke.
    pub may_be_empty: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_line_chars: 16,
            max_lines: 2,
            min_duration_ms: 833,
            max_duration_ms: 7000,
            max_reading_speed: 9,
            may_be_empty: false,
        }
    }
}

/// Panics with all that is wrong with a caption file, .srt or .vtt.
pub fn check(path: &Path) {
    check_with(path, Limits::default());
}

/// As [`check`], with other limits.
pub fn check_with(path: &Path, limits: Limits) {
    let faults = faults(&[path], limits);
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), text.unwrap_or_else(|e| e.to_string()));
}

/// All that is wrong with some caption files: a line each, which begins with the path.
pub fn faults(paths: &[&Path], limits: Limits) -> Vec<String> {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/checker.sh"));
    for (name, value) in [
        ("--max-line-chars", limits.max_line_chars),
        ("--max-lines", limits.max_lines),
        ("--min-duration", limits.min_duration_ms),
        ("--max-duration", limits.max_duration_ms),
        ("--max-reading-speed", limits.max_reading_speed),
    ] {
        command.arg(name).arg(value.to_string());
    }
    command
        .args(limits.may_be_empty.then_some("--may-be-empty"))
        .arg("--")
        .args(paths)
        .env("PYTHONIOENCODING", "utf-8");
    let output = command.output().unwrap_or_else(|e| panic!("scripts/checker.sh does not start: {e}"));
    let faults: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    // 0: no fault, 1: some. What fails otherwise has judged nothing.
    let judged = output.status.code() == Some(i32::from(!faults.is_empty()));
    assert!(judged, "scripts/checker.sh: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    faults
}
