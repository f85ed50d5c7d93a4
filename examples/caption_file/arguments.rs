//! The command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

/// Captions films and recordings on this machine: any media file or folder in, .srt, .vtt and .json out, and on request
/// a film with the captions in it.
#[derive(Parser, Debug)]
#[command(name = "caption_file", version, after_long_help = AFTER_HELP)]
pub struct Arguments {
    /// Media files, and folders of them, which are searched to the bottom
    #[arg(required = true)]
    pub inputs: Vec<PathBuf>,

    /// Captions and texts to write
    #[arg(long, value_enum, value_delimiter = ',', default_value = "srt,vtt,json", help_heading = "What comes out")]
    pub formats: Vec<TextFormat>,
    /// Write an .mkv too: the film with the captions as a subtitle track; picture and sound are copied as they are
    #[arg(long, help_heading = "What comes out")]
    pub mkv: bool,
    /// Write an .mp4 too, in the same way
    #[arg(long, help_heading = "What comes out")]
    pub mp4: bool,
    /// Draw the captions into the picture of the .mkv or .mp4, in place of the track. The picture is encoded anew
    /// (H.264)
    #[arg(long, help_heading = "What comes out")]
    pub burn_in: bool,
    /// Font of captions that are burned in, for a picture 640 pixels wide; it grows with the picture
    #[arg(long, default_value = "Sans 24", help_heading = "What comes out")]
    pub font: String,
    /// Write to this folder and not beside the films. What lies in folders of a given folder does so here too
    #[arg(long, value_name = "DIR", help_heading = "What comes out")]
    pub output_dir: Option<PathBuf>,
    /// Keep the ending of the film's name: film.mp4.srt, not film.srt
    #[arg(long, help_heading = "What comes out")]
    pub full_names: bool,

    /// Which of a film's audio tracks is recognised, counted from 1
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one, help_heading = "How it is done")]
    pub audio_track: usize,
    /// Files side by side, over one model [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "How it is done")]
    pub jobs: Option<usize>,
    /// Do again what is done already
    #[arg(long, help_heading = "How it is done")]
    pub force: bool,
    /// Say nothing but what is wrong
    #[arg(long, short, help_heading = "How it is done")]
    pub quiet: bool,

    /// Model folder [default: where FunASR's tools put the published model, else the demonstration model]
    #[arg(long, value_name = "DIR", help_heading = "Recognition")]
    pub model_path: Option<PathBuf>,
    /// Left context, stride and look-ahead, in frames of 60 ms [default: 5,10,5]
    #[arg(long, value_name = "N,N,N", help_heading = "Recognition")]
    pub chunk_size: Option<String>,
    /// Threads for inference, for all files together [default: the number of cores]
    #[arg(long, value_name = "N", help_heading = "Recognition")]
    pub threads: Option<u32>,
    /// Language that the subtitle track is said to be in [default: zh-CN]
    #[arg(long, value_name = "CODE", help_heading = "Recognition")]
    pub language: Option<String>,
    /// Longest line of a caption, in full-width characters [default: 16]
    #[arg(long, value_name = "N", help_heading = "Recognition")]
    pub max_line_chars: Option<u32>,
    /// Most lines of a caption [default: 2]
    #[arg(long, value_name = "N", help_heading = "Recognition")]
    pub max_lines: Option<u32>,
    /// Any property of the element paraformerasr; can be given more than once. `gst-inspect-1.0 paraformerasr` lists
    /// them
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value, help_heading = "Recognition")]
    pub set: Vec<(String, String)>,
}

const AFTER_HELP: &str = "\
Outputs
  film.mp4 gives film.srt, film.vtt, film.json, and film.captioned.mkv or film.burned.mkv on request.
  The .json has what was said from pause to pause (\"utterances\"), each with its characters and words, their times in
  seconds and the recogniser's confidence in them from 0 to 1, and the captions with theirs.
  A film without speech gives outputs without captions. No input is ever overwritten.
  An .mkv takes nearly every kind of picture and sound; an .mp4 takes H.264, H.265, AAC, MP3 and few others.

Folders
  Files with the ending of a media format are taken, hidden files and this program's own films are not. A file that is
  named itself is tried whatever it is called.

Going on after an interruption
  A file is skipped when its outputs are all there and newer than it; where the .json tells of other options, or of a
  file of another size, it is done again (without a .json among the --formats only the times are compared). Only
  missing and older outputs are written, and where the .json is up to date nothing is recognised anew for them: ask
  for --mkv a day later, and it is there in moments. --force does everything again. Outputs get their names when they
  are complete. What is recognised of a film meanwhile is in .NAME.captions.part beside the outputs, up to the last
  pause, and so Ctrl-C, a crash or a power cut costs no more than that: the next run begins there. The first Ctrl-C
  stops in order, a second one at once.

A file that goes wrong
  does not stop the others. The reason is told at once and again at the end. Captions recognised up to where it went
  wrong are in NAME.incomplete.srt.

Exit status
  0    all files are done, or were already
  1    some files failed
  2    nothing was begun: the command line, the model or the names of the outputs are wrong
  130  interrupted

Examples
  caption_file talk.wav
  caption_file --mkv --output-dir captioned films/
  caption_file --burn-in --mp4 --max-line-chars 14 film.mov
  caption_file --model-path ~/paraformer-online --set endpoint-silence=500 --set spacing=space films/";

/// A file of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum TextFormat {
    /// SubRip
    Srt,
    /// WebVTT
    Vtt,
    /// Everything, for programs
    Json,
}

impl TextFormat {
    /// The ending of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Json => "json",
        }
    }
}

impl Arguments {
    /// The element's properties that are asked for. Later ones win.
    pub fn properties(&self) -> Result<BTreeMap<String, String>, String> {
        let path = |path: &PathBuf| match path.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("--model-path {}: the path must be UTF-8", path.display())),
        };
        let brackets = |text: &String| if text.starts_with('<') { text.clone() } else { format!("<{text}>") };
        let named = [
            ("model-path", self.model_path.as_ref().map(path).transpose()?),
            ("chunk-size", self.chunk_size.as_ref().map(brackets)),
            ("threads", self.threads.map(|n| n.to_string())),
            ("language-code", self.language.clone()),
            ("max-line-chars", self.max_line_chars.map(|n| n.to_string())),
            ("max-lines", self.max_lines.map(|n| n.to_string())),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(named.chain(self.set.iter().cloned()).collect())
    }

    /// What a film's name ends in, for each film that is asked for.
    pub fn film_endings(&self) -> Vec<&'static str> {
        let endings: &[_] = match self.burn_in {
            true => &[(self.mkv, "burned.mkv"), (self.mp4, "burned.mp4")],
            false => &[(self.mkv, "captioned.mkv"), (self.mp4, "captioned.mp4")],
        };
        endings.iter().filter(|(wanted, _)| *wanted).map(|(_, ending)| *ending).collect()
    }

    /// What the parser cannot see.
    pub fn check(&self) -> Result<(), String> {
        if self.burn_in && !self.mkv && !self.mp4 {
            return Err("--burn-in needs --mkv or --mp4: the kind of film to write".into());
        }
        match &self.output_dir {
            Some(folder) if folder.exists() && !folder.is_dir() => {
                Err(format!("--output-dir {}: this is no folder", folder.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a film's name says that this program wrote it.
pub fn is_own_film(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["captioned.mkv", "captioned.mp4", "burned.mkv", "burned.mp4"]
        .iter()
        .any(|ending| name.strip_suffix(ending).is_some_and(|stem| stem.ends_with('.')))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "a whole number from 1 on".into())
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE, such as endpoint-silence=500")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}
