//! One file: what of it is done already, its recognition, its outputs.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use super::arguments::{Arguments, TextFormat};
use super::element::Settings;
use super::film;
use super::inputs::Job;
use super::journal::Journal;
use super::pipeline::Failure;
use super::progress::FileProgress;
use super::recognise::{self, recognise};
use super::subtitles::{hours, srt, vtt};
use super::transcript::{Origin, Part, Transcript};

/// Sound that ends so much and a twentieth before the film does is told of: the file may be cut off.
const ENDS_EARLY_MS: u64 = 2000;

/// What holds for all files.
pub struct Context<'a> {
    pub arguments: &'a Arguments,
    pub settings: &'a Settings,
    pub stop: &'a AtomicBool,
}

/// What became of a file.
#[derive(Debug, PartialEq)]
pub enum Done {
    /// All outputs were there.
    Skipped,
    /// These are new.
    Written { outputs: Vec<PathBuf>, captions: usize, duration_ms: u64 },
}

/// Whether the file is to be recognised: outputs are missing that no earlier transcript gives.
pub fn needs_model(context: &Context, job: &Job) -> bool {
    let Ok(metadata) = fs::metadata(&job.input) else { return false };
    let (known, missing) = state(context, job, &metadata, &origin(context, job, &metadata));
    known.is_none() && !missing.is_empty()
}

/// Does one file. `notes` is what there is to know besides, also where it fails: what a film lacks, and such.
pub fn run(context: &Context, job: &Job, progress: &FileProgress, notes: &mut Vec<String>) -> Result<Done, Failure> {
    let metadata = fs::metadata(&job.input)?;
    let origin = origin(context, job, &metadata);
    let (known, missing) = state(context, job, &metadata, &origin);
    if missing.is_empty() {
        return Ok(Done::Skipped);
    }
    if let Some(folder) = job.journal.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.unwrap_or_default().as_nanos();
    let mut journal = Journal::open(&job.journal, &origin, modified, context.arguments.force)?;
    let done = match known {
        Some(known) => Ok(known),
        None => transcribe(context, job, origin, &mut journal, notes, progress),
    };
    let written = done.and_then(|transcript| {
        write(context, job, &missing, &transcript, notes, progress)?;
        Ok(transcript)
    });
    match written {
        Ok(transcript) => {
            journal.remove();
            // That of an earlier run, which failed.
            let _ = fs::remove_file(&job.incomplete);
            let captions = transcript.part.captions.len();
            Ok(Done::Written { outputs: missing, captions, duration_ms: transcript.duration })
        }
        Err(failure) => Err(give_up(job, journal, failure)),
    }
}

/// Keeps what was recognised before it went wrong.
fn give_up(job: &Job, journal: Journal, failure: Failure) -> Failure {
    let captions = journal.part.captions.len();
    let keeps = captions > 0 && journal.complete.is_none();
    let failure = match failure {
        Failure::Failed(reason) if keeps => match replace(&job.incomplete, srt(&journal.part.captions).as_bytes()) {
            Ok(()) => {
                Failure::Failed(format!("{reason}. The captions up to there are in {}", job.incomplete.display()))
            }
            Err(_) => Failure::Failed(reason),
        },
        other => other,
    };
    // A .json that is complete has all of it too.
    let in_json =
        journal.complete.is_some() && job.texts.iter().any(|(f, path)| *f == TextFormat::Json && path.exists());
    if journal.is_empty() || in_json {
        journal.remove();
    }
    failure
}

fn origin(context: &Context, job: &Job, metadata: &Metadata) -> Origin {
    // How much of the machine is used makes no difference to the text.
    let matters =
        |name: &&String| !["threads", "max-queue-time", "model-path", "runtime-library"].contains(&name.as_str());
    let properties = context.settings.properties.iter().filter(|(name, _)| matters(name));
    Origin {
        input: job.input.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: metadata.len(),
        audio_track: context.arguments.audio_track,
        model: context.settings.model.clone(),
        properties: properties.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

/// The transcript, where the `.json` of an earlier run has it, and the outputs that are not there or older than the
/// file.
fn state(context: &Context, job: &Job, metadata: &Metadata, origin: &Origin) -> (Option<Transcript>, Vec<PathBuf>) {
    let input_time = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let is_new = |path: &&Path| {
        let time = fs::metadata(path).and_then(|found| found.modified());
        time.is_ok_and(|time| time >= input_time)
    };
    let all = || job.outputs().map(Path::to_owned).collect();
    let json = job.texts.iter().find(|(format, _)| *format == TextFormat::Json).map(|(_, path)| path.as_path());
    let known = json.filter(is_new).and_then(Transcript::load);
    let other = known.as_ref().is_some_and(|known| known.origin != *origin);
    if context.arguments.force || other {
        return (None, all());
    }
    (known, job.outputs().filter(|path| !is_new(path)).map(Path::to_owned).collect())
}

fn transcribe(
    context: &Context,
    job: &Job,
    origin: Origin,
    journal: &mut Journal,
    notes: &mut Vec<String>,
    progress: &FileProgress,
) -> Result<Transcript, Failure> {
    let start_ms = journal.part.resume;
    if journal.complete.is_none() {
        if start_ms > 0 {
            notes.push(format!("went on at {} where an earlier run was interrupted", hours(start_ms)));
        }
        let request = recognise::Request {
            path: &job.input,
            audio_track: context.arguments.audio_track,
            properties: &context.settings.properties,
            lateness_ms: context.settings.lateness_ms,
            start_ms,
        };
        let part = |part: Part| Ok(journal.append(part)?);
        let (heard_ms, file_ms) = recognise(&request, context.stop, part, |ms, duration| progress.at(ms, duration))?;
        if let Some(file_ms) = file_ms.filter(|&file_ms| file_ms > heard_ms + heard_ms / 20 + ENDS_EARLY_MS) {
            notes.push(format!("its sound ends at {} of {}: is it complete?", hours(heard_ms), hours(file_ms)));
        }
        journal.complete(heard_ms)?;
    }
    let part = Part { resume: 0, ..journal.part.clone() };
    Ok(Transcript { origin, duration: journal.complete.unwrap_or_default(), part })
}

/// Writes the outputs that are missing: first the texts, which cannot fail for what is in the file.
fn write(
    context: &Context,
    job: &Job,
    missing: &[PathBuf],
    transcript: &Transcript,
    notes: &mut Vec<String>,
    progress: &FileProgress,
) -> Result<(), Failure> {
    let captions = &transcript.part.captions;
    for (format, path) in job.texts.iter().filter(|(_, path)| missing.contains(path)) {
        let text = match format {
            TextFormat::Srt => srt(captions),
            TextFormat::Vtt => vtt(captions),
            TextFormat::Json => transcript.json()?,
        };
        replace(path, text.as_bytes())?;
    }
    for path in job.films.iter().filter(|path| missing.contains(path)) {
        progress.stage();
        let made = partial(path);
        let request = film::Request {
            input: &job.input,
            output: &made,
            mp4: path.extension().is_some_and(|extension| extension == "mp4"),
            captions,
            language: &context.settings.language,
            burn_in: context.arguments.burn_in.then_some(context.arguments.font.as_str()),
        };
        let written = film::write(&request, context.stop, |ms, duration| progress.writing(ms, duration));
        let written = written.and_then(|lacks| publish(&made, path).map(|()| lacks).map_err(Failure::from));
        match written {
            Ok(lacks) => notes.extend(lacks.into_iter().map(|lack| format!("{} is {lack}", path.display()))),
            Err(failure) => {
                // It may not have been begun.
                let _ = fs::remove_file(&made);
                return Err(match failure {
                    Failure::Failed(reason) => Failure::Failed(format!("{} was not written: {reason}", path.display())),
                    Failure::Interrupted => failure,
                });
            }
        }
    }
    Ok(())
}

/// Writes a file that is there whole or not at all.
fn replace(path: &Path, contents: &[u8]) -> Result<(), String> {
    let made = partial(path);
    let written = fs::write(&made, contents).map_err(|error| format!("{}: {error}", made.display()));
    let published = written.and_then(|()| publish(&made, path));
    if published.is_err() {
        let _ = fs::remove_file(&made);
    }
    published
}

/// Gives a file that is complete its name; before, its contents are on the disk.
fn publish(made: &Path, path: &Path) -> Result<(), String> {
    let renamed = File::open(made).and_then(|file| file.sync_all()).and_then(|()| fs::rename(made, path));
    renamed.map_err(|error| format!("{}: {error}", path.display()))
}

/// The name of a file that is not complete.
fn partial(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}
