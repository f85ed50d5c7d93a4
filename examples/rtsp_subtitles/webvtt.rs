//! Captions in a WebVTT file, which is complete and valid after every cue.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gstparaformer::captions::{Caption, FinalCaptions, Shape};

use super::failure::Failure;
use super::news::{News, Output, clock};

/// Begins the note that says which time of day is 00:00:00.000.
const ZERO: &str = "NOTE 00:00:00.000 is ";
/// Longer than any word takes to be recognised: older words than this are all known.
const SETTLED_NS: u64 = 3_000_000_000;
/// How much may wait for a full disk to have room again.
const MAX_PENDING: usize = 1 << 20;

/// The file.
pub struct WebVtt {
    path: PathBuf,
    file: File,
    /// The program's time zero on the file's timeline: an earlier run may have begun the file.
    offset_ns: u64,
    captions: FinalCaptions,
    /// Where the utterance begins that is being spoken.
    growing_ns: Option<u64>,
    /// What the disk did not take yet.
    pending: VecDeque<u8>,
    is_failing: bool,
}

impl WebVtt {
    /// Begins a file, or goes on with one that this program began. `zero`: the time of day of the program's time zero.
    pub fn open(path: &Path, shape: Shape, zero: SystemTime) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::of_settings(format!("{}: {error}", path.display()));
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        let mut pending = VecDeque::new();
        let offset_ns = if file.metadata().map_err(failed)?.len() == 0 {
            pending.extend(format!("WEBVTT\n\n{ZERO}{}\n\n", humantime(zero)).into_bytes());
            0
        } else {
            let (begun, ends) = read_back(&mut file).map_err(failed)?;
            let begun = begun.ok_or_else(|| {
                Failure::of_settings(format!("{} is there, and this program did not write it", path.display()))
                    .with_advice("Choose another name for the file, or move that one away.")
            })?;
            // Where the last cue was cut off, as by a power failure, it ends here.
            pending.extend(&b"\n\n"[ends.min(2)..]);
            zero.duration_since(begun).map_or(0, |since| since.as_nanos() as u64)
        };
        let (captions, path) = (FinalCaptions::new(shape), path.to_owned());
        let mut this = Self { path, file, offset_ns, captions, growing_ns: None, pending, is_failing: false };
        this.write_pending()?;
        Ok(this)
    }

    /// Writes the captions whose end is certain.
    fn release(&mut self) -> Result<(), Failure> {
        for Caption { text, start_ns, end_ns } in self.captions.by_ref() {
            let (start, end) = (clock(start_ns + self.offset_ns), clock(end_ns + self.offset_ns));
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            if self.pending.len() < MAX_PENDING {
                self.pending.extend(format!("{start} --> {end}\n{text}\n\n").into_bytes());
            }
        }
        self.write_pending()
    }

    /// What a full disk does not take is kept for later; that is told once.
    fn write_pending(&mut self) -> Result<(), Failure> {
        while !self.pending.is_empty() {
            let (part, _) = self.pending.as_slices();
            match self.file.write(part) {
                Ok(written) if written > 0 => {
                    self.pending.drain(..written);
                    self.is_failing = false;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => {
                    let reason = result.map_or_else(|error| error.to_string(), |_| "nothing was written".into());
                    if std::mem::replace(&mut self.is_failing, true) {
                        return Ok(());
                    }
                    let what = format!("{}: {reason}. Captions are kept until it can be written", self.path.display());
                    return Err(Failure::of_stream(what));
                }
            }
        }
        Ok(())
    }
}

impl Output for WebVtt {
    fn tell(&mut self, news: &News, _now_ns: u64) -> Result<(), Failure> {
        match news {
            News::Growing(utterance) => {
                self.growing_ns = Some(utterance.start_ns());
                self.captions.advance(utterance.start_ns());
            }
            News::Finished(utterance) => {
                self.growing_ns = None;
                utterance.words.iter().for_each(|word| self.captions.word(word.clone()));
                self.captions.end_utterance();
            }
            // Nothing comes that could cut the last caption short.
            News::State(_) => self.captions.finish(),
            News::Warning(_) => {}
        }
        self.release()
    }

    fn tick(&mut self, now_ns: u64) -> Result<(), Failure> {
        let settled_ns = now_ns.saturating_sub(SETTLED_NS);
        self.captions.advance(self.growing_ns.map_or(settled_ns, |growing_ns| growing_ns.min(settled_ns)));
        self.release()
    }
}

/// Of a file that is there: the time of day of its time zero, where this program wrote it, and with how many line ends
/// it ends.
fn read_back(file: &mut File) -> std::io::Result<(Option<SystemTime>, usize)> {
    let mut head = [0; 128];
    file.rewind()?;
    let mut length = 0;
    while length < head.len() {
        match file.read(&mut head[length..])? {
            0 => break,
            more => length += more,
        }
    }
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    let begun = head.strip_prefix(&format!("WEBVTT\n\n{ZERO}")).and_then(|rest| rest.lines().next()).and_then(parse);
    let mut end = Vec::new();
    file.seek(SeekFrom::End(-(length.min(2) as i64)))?;
    file.read_to_end(&mut end)?;
    Ok((begun, end.iter().rev().take_while(|&&byte| byte == b'\n').count()))
}

/// A time of day in UTC, as ISO 8601 writes it, to the millisecond.
fn humantime(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let date =
        gst::glib::DateTime::from_unix_utc(since.as_secs() as i64).and_then(|date| date.format("%Y-%m-%dT%H:%M:%S"));
    format!("{}.{:03}Z", date.unwrap_or_default(), since.subsec_millis())
}

fn parse(text: &str) -> Option<SystemTime> {
    let date = gst::glib::DateTime::from_iso8601(text, None).ok()?;
    let since = std::time::Duration::from_secs(u64::try_from(date.to_unix()).ok()?);
    Some(SystemTime::UNIX_EPOCH + since + std::time::Duration::from_micros(date.microsecond().try_into().ok()?))
}
