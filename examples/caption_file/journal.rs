//! What is recognised of a file that is not done yet, on disk: an interruption costs no more than what came since the
//! last pause.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::transcript::{Origin, Part};

/// A line of the file. The first is the origin; what follows another origin is of no use.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Origin {
        origin: Origin,
        /// When the input was written, in ns since 1970.
        modified: u128,
    },
    Part(Part),
    /// The file is recognised to its end; the duration of the audio, in ms.
    Complete(u64),
}

/// The journal of one file. While it is open, no other process opens it.
pub struct Journal {
    file: File,
    path: PathBuf,
    /// What it holds.
    pub part: Part,
    /// The duration of the audio, in ms, where it is complete.
    pub complete: Option<u64>,
}

impl Journal {
    /// Opens the journal at `path`, with what an interrupted run has left of the same work; `anew`: with nothing.
    pub fn open(path: &Path, origin: &Origin, modified: u128, anew: bool) -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err("another caption_file is working on it".into()),
            // A file system without locks.
            Err(TryLockError::Error(_)) => {}
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(wrong)?;
        let mut journal = Self { file, path: path.into(), part: Part::default(), complete: None };
        let good = if anew { 0 } else { journal.replay(&bytes, origin, modified) };
        if good == 0 {
            (journal.part, journal.complete) = (Part::default(), None);
        }
        // A last line may be torn.
        journal.file.set_len(good).map_err(wrong)?;
        journal.file.seek(SeekFrom::Start(good)).map_err(wrong)?;
        if good == 0 {
            journal.write(&Line::Origin { origin: origin.clone(), modified })?;
        }
        Ok(journal)
    }

    /// Takes the lines that are whole and belong together; gives their length.
    fn replay(&mut self, bytes: &[u8], expected: &Origin, expected_modified: u128) -> u64 {
        let mut good = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            match serde_json::from_slice(line) {
                Ok(Line::Origin { origin, modified })
                    if good == 0 && origin == *expected && modified == expected_modified => {}
                Ok(Line::Part(part)) if good > 0 => self.part.append(part),
                Ok(Line::Complete(duration)) if good > 0 => self.complete = Some(duration),
                _ => break,
            }
            good += line.len() as u64;
        }
        good
    }

    fn write(&mut self, line: &Line) -> Result<(), String> {
        let wrong = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut text = serde_json::to_string(line).map_err(|error| error.to_string())?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(wrong)
    }

    /// Adds what was said up to a pause.
    pub fn append(&mut self, part: Part) -> Result<(), String> {
        let line = Line::Part(part);
        self.write(&line)?;
        if let Line::Part(part) = line {
            self.part.append(part);
        }
        Ok(())
    }

    /// The file is recognised to its end.
    pub fn complete(&mut self, duration_ms: u64) -> Result<(), String> {
        self.complete = Some(duration_ms);
        self.write(&Line::Complete(duration_ms))
    }

    /// Whether nothing would be lost without it.
    pub fn is_empty(&self) -> bool {
        self.part.utterances.is_empty() && self.complete.is_none()
    }

    /// The outputs are there, or there is nothing to keep.
    pub fn remove(self) {
        // One that stays is found by the next run, and is of no harm.
        let _ = fs::remove_file(&self.path);
    }
}
