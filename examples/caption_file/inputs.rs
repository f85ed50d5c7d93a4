//! Which files there are to do, and what they give.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::arguments::{Arguments, TextFormat, is_own_film};

/// Endings of media files, as they are looked for in folders.
const MEDIA: [&str; 55] = [
    "3g2", "3gp", "aac", "ac3", "aif", "aiff", "alac", "amr", "ape", "asf", "au", "avi", "caf", "dts", "dv", "eac3",
    "f4v", "flac", "flv", "gxf", "m1v", "m2t", "m2ts", "m2v", "m4a", "m4b", "m4v", "mka", "mkv", "mov", "mp2", "mp3",
    "mp4", "mpa", "mpeg", "mpg", "mts", "mxf", "nut", "oga", "ogg", "ogm", "ogv", "opus", "qt", "rm", "rmvb", "spx",
    "tta", "vob", "wav", "webm", "wma", "wmv", "wv",
];
/// A file with this ending is an MPEG transport stream or a program in TypeScript.
const TRANSPORT_STREAM: &str = "ts";

/// One file to do.
#[derive(Debug, Clone)]
pub struct Job {
    pub input: PathBuf,
    /// For messages: as the user would name it.
    pub name: String,
    pub bytes: u64,
    /// The texts.
    pub texts: Vec<(TextFormat, PathBuf)>,
    pub films: Vec<PathBuf>,
    /// Where what is recognised is kept until all outputs are there.
    pub journal: PathBuf,
    /// The captions up to where the file went wrong.
    pub incomplete: PathBuf,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    pub jobs: Vec<Job>,
    /// How many files in folders are no media, by their endings.
    pub not_media: BTreeMap<String, usize>,
    /// What could not be looked at, and why; and what is there twice.
    pub notes: Vec<String>,
    /// Inputs that are not there, and why.
    pub missing: Vec<(String, String)>,
}

/// Looks for the inputs. Errors: outputs that would overwrite each other or an input.
pub fn find(arguments: &Arguments) -> Result<Found, String> {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for input in &arguments.inputs {
        match fs::metadata(input) {
            Ok(metadata) if metadata.is_dir() => walk(arguments, input, &mut found, &mut seen),
            Ok(metadata) if metadata.is_file() => {
                found.take(arguments, input, Path::new(""), metadata.len(), &mut seen);
            }
            Ok(_) => found.missing.push((input.display().to_string(), "it is neither a file nor a folder".into())),
            Err(error) => found.missing.push((input.display().to_string(), error.to_string())),
        }
    }
    collisions(&found.jobs)?;
    Ok(found)
}

fn walk(arguments: &Arguments, folder: &Path, found: &mut Found, seen: &mut BTreeSet<PathBuf>) {
    let hidden = |entry: &DirEntry| entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
    // Links are followed: films lie on other disks. A loop of them is told of as an error.
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().filter_entry(|e| !hidden(e)) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let gone = error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound);
                if error.loop_ancestor().is_some() || gone {
                    found.notes.push(format!("skipped: {error}"));
                } else {
                    let path = error.path().unwrap_or(folder).display().to_string();
                    found.missing.push((path, error.io_error().map_or(error.to_string(), ToString::to_string)));
                }
                continue;
            }
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let ending = entry.path().extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_media = MEDIA.contains(&ending.as_str()) || ending == TRANSPORT_STREAM && is_stream(entry.path());
        if !is_media {
            *found.not_media.entry(ending).or_default() += 1;
        } else if !is_own_film(entry.path()) {
            let below = entry.path().strip_prefix(folder).ok().and_then(Path::parent).unwrap_or(Path::new(""));
            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            found.take(arguments, entry.path(), below, bytes, seen);
        }
    }
}

/// Whether the file begins with the byte of an MPEG transport stream's packets (in .m2ts: after a time stamp).
fn is_stream(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 5];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && (start[0] == 0x47 || start[4] == 0x47)
}

impl Found {
    fn take(&mut self, arguments: &Arguments, path: &Path, below: &Path, bytes: u64, seen: &mut BTreeSet<PathBuf>) {
        let name = path.display().to_string();
        let resolved = path.canonicalize().and_then(|whole| Ok((whole, absolute(path)?)));
        let (whole, input) = match resolved {
            Ok(paths) => paths,
            Err(error) => return self.missing.push((name, error.to_string())),
        };
        if !seen.insert(whole.clone()) {
            return self.notes.push(format!("skipped: {name} is {}, which is done already", whole.display()));
        }
        let beside = input.parent().unwrap_or(Path::new("/")).to_owned();
        let folder = arguments.output_dir.as_ref().map_or(beside, |folder| folder.join(below));
        let stem = if arguments.full_names { input.file_name() } else { input.file_stem() };
        let stem = stem.unwrap_or_default();
        let named = |before: &str, ending: &str| {
            let mut name = std::ffi::OsString::from(before);
            name.push(stem);
            name.push(".");
            name.push(ending);
            folder.join(name)
        };
        let formats: BTreeSet<TextFormat> = arguments.formats.iter().copied().collect();
        self.jobs.push(Job {
            name,
            bytes,
            texts: formats.into_iter().map(|format| (format, named("", format.extension()))).collect(),
            films: arguments.film_endings().into_iter().map(|ending| named("", ending)).collect(),
            journal: named(".", "captions.part"),
            incomplete: named("", "incomplete.srt"),
            input,
        });
    }
}

/// The path with its folder in full. A link to a file stays what it is: its captions belong beside it, under its name.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(folder.canonicalize()?.join(path.file_name().unwrap_or_default()))
}

/// Nothing may be written twice, and no input at all.
fn collisions(jobs: &[Job]) -> Result<(), String> {
    let inputs: BTreeSet<PathBuf> =
        jobs.iter().flat_map(|job| [Some(job.input.clone()), job.input.canonicalize().ok()]).flatten().collect();
    let mut writers: HashMap<&Path, &Job> = HashMap::new();
    for job in jobs {
        for output in job.outputs() {
            if inputs.contains(output) {
                return Err(format!("{} would overwrite the input {}", job.name, output.display()));
            }
            if let Some(other) = writers.insert(output, job) {
                return Err(format!(
                    "{} and {} would both write {}. Give --full-names, or do them one after the other with another \
                     --output-dir",
                    other.name,
                    job.name,
                    output.display()
                ));
            }
        }
    }
    Ok(())
}

impl Job {
    /// All files that it writes.
    pub fn outputs(&self) -> impl Iterator<Item = &Path> {
        self.texts.iter().map(|(_, path)| path.as_path()).chain(self.films.iter().map(PathBuf::as_path))
    }
}
