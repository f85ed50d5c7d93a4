//! What was said, and when: the contents of every file that the program writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A caption. Times in ms from the start of the film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Caption {
    #[serde(with = "seconds")]
    pub start: u64,
    #[serde(with = "seconds")]
    pub end: u64,
    /// Its lines, with `\n` between them.
    pub text: String,
}

/// What was said from one pause to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Utterance {
    #[serde(with = "seconds")]
    pub start: u64,
    #[serde(with = "seconds")]
    pub end: u64,
    pub text: String,
    pub tokens: Vec<Token>,
}

/// A Chinese character or a word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    #[serde(with = "seconds")]
    pub start: u64,
    #[serde(with = "seconds")]
    pub end: u64,
    pub text: String,
    /// 0 to 1.
    pub confidence: f64,
}

/// Utterances that end in a pause, and their captions: recognition can go on behind them without them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub captions: Vec<Caption>,
    pub utterances: Vec<Utterance>,
    /// Where in the pause recognition goes on, in ms. Of no use when it is over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resume: u64,
}

fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

/// How a transcript came about: another run with the same origin gives the same transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Origin {
    /// The name of the media file.
    pub input: String,
    /// Its size.
    pub bytes: u64,
    pub audio_track: usize,
    /// The model's folder.
    pub model: String,
    /// The element's properties that are not at their defaults.
    pub properties: BTreeMap<String, String>,
}

/// The whole of it, as in the `.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transcript {
    #[serde(flatten)]
    pub origin: Origin,
    /// Of the audio, in ms.
    #[serde(with = "seconds")]
    pub duration: u64,
    #[serde(flatten)]
    pub part: Part,
}

impl Part {
    /// Adds what was said after it. Captions of a run that began anew may reach back over the last one: they wait.
    pub fn append(&mut self, later: Self) {
        for mut caption in later.captions {
            caption.start = caption.start.max(self.captions.last().map_or(0, |last| last.end));
            if caption.start < caption.end {
                self.captions.push(caption);
            }
        }
        self.utterances.extend(later.utterances);
        self.resume = later.resume;
    }
}

impl Transcript {
    /// The `.json`.
    pub fn json(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(|error| error.to_string())
    }

    /// Reads the `.json` of an earlier run; none where it is no such file.
    pub fn load(path: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }
}

/// ms here, seconds in files.
mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(*ms as f64 / 1000.0)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<u64, D::Error> {
        // From a negative or endless number to the nearest there is.
        f64::deserialize(deserializer).map(|seconds| (seconds * 1000.0).round() as u64)
    }
}
