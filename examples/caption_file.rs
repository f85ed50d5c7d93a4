//! Captions media files and folders of them: .srt, .vtt, .json, and films with the captions in them.
//!
//! cargo run --release --example caption_file -- films/
//!
//! `--help` tells everything that it does. The stages, in the order in which a file passes through them:
//!
//! - `arguments`, `inputs`: what there is to do;
//! - `job`: one file, with `journal` for what an interruption must not lose;
//! - `recognise`: the pipeline around the element, with `element`, `collector` and `pipeline`;
//! - `transcript`, `subtitles`, `film`: what comes out;
//! - `progress`: what the user sees meanwhile.

use std::collections::VecDeque;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use clap::Parser;

#[path = "caption_file/arguments.rs"]
mod arguments;
#[path = "caption_file/collector.rs"]
mod collector;
#[path = "caption_file/element.rs"]
mod element;
#[path = "caption_file/film.rs"]
mod film;
#[path = "caption_file/inputs.rs"]
mod inputs;
#[path = "caption_file/job.rs"]
mod job;
#[path = "caption_file/journal.rs"]
mod journal;
#[path = "caption_file/pipeline.rs"]
mod pipeline;
#[path = "caption_file/progress.rs"]
mod progress;
#[path = "caption_file/recognise.rs"]
mod recognise;
#[path = "caption_file/subtitles.rs"]
mod subtitles;
#[path = "caption_file/transcript.rs"]
mod transcript;

use arguments::Arguments;
use element::{Settings, SharedModel};
use inputs::{Found, Job};
use job::{Context, Done};
use pipeline::Failure;
use progress::Progress;
use subtitles::hours;

/// Some files failed.
const FAILED: u8 = 1;
/// Nothing was begun.
const USAGE: u8 = 2;
/// As shells say it of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("caption_file: {error}");
        ExitCode::from(USAGE)
    })
}

/// Errors: nothing was begun.
fn run(mut arguments: Arguments) -> Result<ExitCode, String> {
    arguments.check()?;
    if let Some(folder) = &mut arguments.output_dir {
        let wrong = |error| format!("--output-dir {}: {error}", folder.display());
        std::fs::create_dir_all(&*folder).map_err(wrong)?;
        *folder = folder.canonicalize().map_err(wrong)?;
    }
    gst::init().map_err(|error| format!("GStreamer cannot be used: {error}"))?;
    gstparaformer::plugin_register_static().map_err(|error| error.to_string())?;
    let settings = Settings::new(arguments.properties()?)?;
    let found = inputs::find(&arguments)?;
    let stop = stop_on_signals()?;
    let context = Context { arguments: &arguments, settings: &settings, stop: &stop };
    let bytes = found.jobs.iter().map(|job| job.bytes).sum();
    let progress = Progress::new(found.jobs.len(), bytes, arguments.quiet);
    let model = match found.jobs.iter().any(|job| job::needs_model(&context, job)) {
        true => SharedModel::open(&settings, &stop)?,
        false => None,
    };
    model.iter().flat_map(|model| &model.warnings).for_each(|warning| progress.warn(warning));
    found.notes.iter().for_each(|note| progress.say(note));
    found.missing.iter().for_each(|(name, reason)| progress.warn(&format!("{name}: {reason}")));
    let results = all(&context, &found.jobs, &progress);
    progress.finish();
    Ok(summary(&found, &results, &progress, stop.load(Ordering::Relaxed)))
}

/// True once the user wants to stop.
fn stop_on_signals() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    ctrlc::set_handler(move || {
        if told.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    })
    .map_err(|error| format!("cannot wait for Ctrl-C: {error}"))?;
    Ok(stop)
}

/// Does all files, many side by side. Gives what became of each; nothing of those that were not begun.
fn all<'a>(context: &Context, jobs: &'a [Job], progress: &Progress) -> Vec<(&'a Job, Result<Done, Failure>)> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = context.arguments.jobs.unwrap_or(cores).min(jobs.len());
    let waiting = Mutex::new(jobs.iter().collect::<VecDeque<_>>());
    let results = Mutex::new(Vec::new());
    // The lock is free again before the file is begun.
    let next = || {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        job.filter(|_| !context.stop.load(Ordering::Relaxed))
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let result = one(context, job, progress);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((job, result));
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one(context: &Context, job: &Job, progress: &Progress) -> Result<Done, Failure> {
    let file = progress.begin(&job.name, job.bytes);
    let mut notes = Vec::new();
    let result = job::run(context, job, &file, &mut notes);
    file.done(matches!(result, Ok(Done::Skipped)));
    match &result {
        Ok(Done::Skipped) => {}
        Ok(Done::Written { outputs, captions, duration_ms }) => {
            let names = outputs.iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy());
            let names = names.collect::<Vec<_>>().join(" ");
            progress.say(&format!("{}: {}, {captions} captions -> {names}", job.name, hours(*duration_ms)));
        }
        Err(Failure::Failed(reason)) => progress.warn(&format!("{}: {reason}", job.name)),
        Err(Failure::Interrupted) => progress.say(&format!("{}: interrupted", job.name)),
    }
    notes.iter().for_each(|note| progress.say(&format!("{}: {note}", job.name)));
    result
}

/// Tells what became of everything, and gives the exit status.
fn summary(found: &Found, results: &[(&Job, Result<Done, Failure>)], progress: &Progress, stopped: bool) -> ExitCode {
    let count = |is: fn(&Result<Done, Failure>) -> bool| results.iter().filter(|(_, result)| is(result)).count();
    let done = count(|result| matches!(result, Ok(Done::Written { .. })));
    let skipped = count(|result| matches!(result, Ok(Done::Skipped)));
    let failed = count(|result| matches!(result, Err(Failure::Failed(_)))) + found.missing.len();
    let left = found.jobs.len() - results.len() + count(|result| *result == Err(Failure::Interrupted));
    let mut line = format!("{done} done, {skipped} skipped (they were done already), {failed} failed");
    if left > 0 {
        line += &format!(", {left} left for the next run");
    }
    progress.say(&line);
    for (job, result) in results {
        if let Err(Failure::Failed(reason)) = result {
            progress.say(&format!("  failed: {}: {reason}", job.name));
        }
    }
    found.missing.iter().for_each(|(name, reason)| progress.say(&format!("  failed: {name}: {reason}")));
    if !found.not_media.is_empty() {
        let kinds = found.not_media.iter().map(|(ending, count)| match Path::new(ending).as_os_str().is_empty() {
            true => format!("{count} without an ending"),
            false => format!("{count} .{ending}"),
        });
        progress.say(&format!("  not media, by their names: {}", kinds.collect::<Vec<_>>().join(", ")));
    }
    let (audio_ms, elapsed) = progress.recognised();
    if audio_ms > 0 {
        let rate = progress::speed(audio_ms, elapsed);
        let rate = rate.trim_end_matches('x');
        progress.say(&format!(
            "{} of audio in {}: {rate} hours an hour",
            hours(audio_ms),
            hours(elapsed.as_millis() as u64)
        ));
    }
    match (stopped, failed) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(FAILED),
    }
}
