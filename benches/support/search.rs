//! The largest number of live streams that a program keeps up with.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{speech, stop};

/// How often the number found must hold.
const PROOFS: usize = 3;

/// A program that takes `--streams`, `--seconds` and `--stop-early`, and prints one JSON line in which `holds` says
/// whether it kept up.
pub struct Search {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Folder of the speech, made as it is needed.
    pub audio: PathBuf,
    /// What is added for the short runs that only lead to the number.
    pub brief: Vec<String>,
    /// Length of these, in seconds.
    pub brief_seconds: usize,
    /// Length of the runs that count.
    pub seconds: usize,
    /// The most streams to try.
    pub most: usize,
}

impl Search {
    /// Looks from `first` on; gives the number that holds, and its runs.
    pub fn run(&self, first: usize) -> (usize, Vec<Value>) {
        let (mut good, mut bad) = (0, self.most + 1);
        let mut streams = first.clamp(1, self.most);
        // Bracketed first; then the middle.
        while bad - good > 1 {
            if holds(&self.one(streams, true)) {
                good = streams;
            } else {
                bad = streams;
            }
            streams = match (good, bad) {
                (0, bad) => bad * 2 / 3,
                (good, bad) if bad > self.most => (good * 3 / 2 + 1).min(self.most),
                (good, bad) => good + (bad - good) / 2,
            };
            if streams == 0 {
                return (0, Vec::new());
            }
        }
        while good > 0 {
            let mut runs = Vec::new();
            while runs.len() < PROOFS && runs.iter().all(holds) {
                runs.push(self.one(good, false));
            }
            if runs.iter().all(holds) {
                return (good, runs);
            }
            good -= (good / 64).max(1);
        }
        (0, Vec::new())
    }

    fn one(&self, streams: usize, brief: bool) -> Value {
        let (program, arguments) = self.command.split_first().unwrap_or_else(|| stop("no program to search with"));
        let seconds = if brief { self.brief_seconds } else { self.seconds };
        speech::prepare(&self.audio, streams, self.seconds);
        let mut command = Command::new(program);
        command.args(arguments).arg("--stop-early");
        command.args(["--streams", &streams.to_string(), "--seconds", &seconds.to_string()]);
        if brief {
            command.args(&self.brief);
        }
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.unwrap_or_else(|error| stop(format!("{program}: {error}")));
        let told = String::from_utf8_lossy(&output.stdout);
        let result = told.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let Some(result) = result.filter(|_| output.status.success()) else {
            stop(format!("{program} with {streams} streams: {}", output.status));
        };
        eprintln!("{result}");
        result
    }
}

fn holds(run: &Value) -> bool {
    run["holds"] == true
}
