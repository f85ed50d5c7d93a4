//! Speech for many streams, out of the repository's recordings: each stream has them in orders of its own. The files
//! are written once, and all systems that are compared read them.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavIntoSamples, WavReader, WavSpec, WavWriter};

use super::{need, stop};

/// Samples in a second.
pub const RATE: usize = 16_000;
/// Between two sentences, in samples: nobody speaks without a breath.
const BREATH: usize = 3200;

/// The file of a stream.
pub fn path(folder: &Path, stream: usize) -> PathBuf {
    folder.join(format!("stream-{stream:03}.wav"))
}

/// Writes the files that are missing or shorter than `seconds`.
pub fn prepare(folder: &Path, streams: usize, seconds: usize) {
    need(fs::create_dir_all(folder), "the folder of the speech");
    let samples = seconds * RATE;
    let is_there = |stream: &usize| {
        WavReader::open(path(folder, *stream)).is_ok_and(|reader| reader.duration() as usize >= samples)
    };
    let missing: Vec<usize> = (0..streams).filter(|stream| !is_there(stream)).collect();
    if missing.is_empty() {
        return;
    }
    let recordings = recordings();
    for stream in missing {
        let file = path(folder, stream);
        // A file that is not whole must not look so.
        let part = file.with_extension("part");
        let wanted =
            WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = need(WavWriter::create(&part, wanted), "the speech");
        for sample in spoken(&recordings, stream).take(samples) {
            need(writer.write_sample(sample), "the speech");
        }
        need(writer.finalize(), "the speech");
        need(fs::rename(&part, &file), "the speech");
    }
}

/// Everything that is spoken in the repository.
fn recordings() -> Vec<Vec<i16>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sentences = (0..12).map(|number| format!("tests/data/audio/sentences/{number:03}.wav"));
    let others = ["examples/recording.wav", "tests/data/audio/speech.wav"].map(String::from);
    let read = |name: String| {
        let mut reader = need(WavReader::open(root.join(&name)), &name);
        reader.samples().map(|sample| need(sample, &name)).collect()
    };
    sentences.chain(others).map(read).collect()
}

/// What a stream says, without end: all recordings in an order of its own, then in another.
fn spoken(recordings: &[Vec<i16>], stream: usize) -> impl Iterator<Item = i16> + '_ {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(stream as u64 + 1);
    // xorshift64, which needs a start other than 0: Marsaglia, "Xorshift RNGs" (2003).
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize
    };
    let orders = std::iter::repeat_with(move || {
        let mut order: Vec<usize> = (0..recordings.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, next() % (at + 1));
        }
        order
    });
    orders.flatten().flat_map(|number| recordings[number].iter().copied().chain(std::iter::repeat_n(0, BREATH)))
}

/// The file of one stream, read as it is needed: memory is part of what is measured.
pub struct Speech(WavIntoSamples<BufReader<File>, i16>);

impl Speech {
    /// From its start.
    pub fn open(folder: &Path, stream: usize) -> Self {
        let path = path(folder, stream);
        let reader = need(WavReader::open(&path), &path.display().to_string());
        if reader.spec().sample_rate as usize != RATE {
            stop(format!("{} is not the bench's", path.display()));
        }
        Self(reader.into_samples())
    }

    /// The next samples.
    pub fn take(&mut self, samples: usize) -> Vec<i16> {
        self.0.by_ref().take(samples).map(|sample| need(sample, "the speech")).collect()
    }
}
