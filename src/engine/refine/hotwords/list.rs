//! The user's list of hotwords, from the property or a file.
//!
//! A file has one hotword a line, in UTF-8, with or without a byte order mark and carriage returns. Lines that begin with
//! `#` are comments. The weights of FunASR's files (`阿里巴巴 20`) and sherpa-onnx's (`阿里巴巴 :2.0`) are read and
//! ignored: nothing here is biased by a weight.

use std::collections::HashSet;

use super::repair::repairable;
use crate::engine::{Error, Result};

/// The most hotwords. Up to here a repair takes milliseconds.
pub const MAX_WORDS: usize = 20_000;
/// The longest hotword, in characters: a longer line is no hotword.
pub const MAX_WORD_CHARACTERS: usize = 64;
/// The largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 2 << 20;

/// The property's name, in errors.
const PROPERTY: &str = "hotwords";
/// A word is quoted up to here, in characters.
const QUOTED_CHARACTERS: usize = 20;

/// The user's own words, each once, in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hotwords {
    words: Vec<String>,
    warnings: Vec<String>,
}

impl Hotwords {
    /// Words separated by white space. Errors: [`Error::Setting`] where a word is too long or there are too many.
    pub fn parse_list(list: &str) -> Result<Self> {
        Self::collect(list.split_whitespace().map(|word| (1, word.to_owned())), |_, problem| Error::Setting {
            name: PROPERTY,
            value: quoted(list),
            expected: format!("words separated by spaces; {problem}"),
        })
    }

    /// A file's contents; `name` is the file's name in errors and warnings. Errors: [`Error::Setting`] where it is no
    /// text, too large, or a line cannot be a hotword. A file without hotwords is a warning.
    pub fn parse_file(name: &str, contents: &[u8]) -> Result<Self> {
        let error = |problem: String| Error::Setting {
            name: PROPERTY,
            value: format!("@{name}"),
            expected: format!("a text file in UTF-8 with one hotword a line; {problem}"),
        };
        if contents.len() > MAX_FILE_BYTES {
            let (size, limit) = (contents.len() >> 10, MAX_FILE_BYTES >> 10);
            return Err(error(format!("this file has {size} KiB: give one of up to {limit} KiB")));
        }
        if contents.starts_with(b"\xff\xfe") || contents.starts_with(b"\xfe\xff") {
            return Err(error("this file is UTF-16: save it as UTF-8".into()));
        }
        if let Some(at) = contents.iter().position(|&byte| byte == 0) {
            let line = line_at(contents, at);
            return Err(error(format!("line {line} has a zero byte, so this is no text: give the right file")));
        }
        let text = std::str::from_utf8(contents).map_err(|bad| {
            let line = line_at(contents, bad.valid_up_to());
            error(format!("line {line} is not UTF-8: save the file as UTF-8 (iconv -f GB18030 -t UTF-8)"))
        })?;
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
        let words = lines.filter(|(_, line)| !line.starts_with('#')).map(|(at, line)| (at + 1, hotword(line)));
        let mut hotwords = Self::collect(words.filter(|(_, word)| !word.is_empty()), |line, problem| {
            error(format!("line {line}: {problem}"))
        })?;
        if hotwords.is_empty() {
            hotwords.warnings.push("no hotwords: write one a line".into());
        }
        hotwords.warnings.iter_mut().for_each(|warning| *warning = format!("{name}: {warning}"));
        Ok(hotwords)
    }

    /// The hotwords, for a model that takes them as its bias.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// What the user should know: hotwords by which no text is repaired, a file without any.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Of words with the numbers of their lines.
    fn collect(words: impl Iterator<Item = (usize, String)>, error: impl Fn(usize, String) -> Error) -> Result<Self> {
        let (mut kept, mut known, mut unused) = (Vec::new(), HashSet::new(), Vec::new());
        for (line, word) in words {
            if word.chars().nth(MAX_WORD_CHARACTERS).is_some() {
                let problem = format!("“{}” has more than {MAX_WORD_CHARACTERS} characters: shorten it", quoted(&word));
                return Err(error(line, problem));
            }
            if !known.insert(word.clone()) {
                continue;
            }
            if kept.len() == MAX_WORDS {
                return Err(error(line, format!("there are more than {MAX_WORDS} hotwords: leave some out")));
            }
            if repairable(&word).is_none() {
                unused.push(quoted(&word));
            }
            kept.push(word);
        }
        let warnings = match unused.as_slice() {
            [] => Vec::new(),
            [first, rest @ ..] => vec![format!(
                "“{first}”{} not used to repair text: that takes two or more Chinese characters or Latin letters",
                match rest.len() {
                    0 => " is".into(),
                    others => format!(" and {others} more are"),
                }
            )],
        };
        Ok(Self { words: kept, warnings })
    }
}

/// The hotword of a line, less its weights; spaces stay only between Latin words.
fn hotword(line: &str) -> String {
    let mut parts: Vec<&str> = line.split_whitespace().collect();
    while parts.len() > 1 && parts.last().is_some_and(|part| is_weight(part)) {
        parts.pop();
    }
    let mut word = String::new();
    for part in parts {
        let latin = word.ends_with(|c: char| c.is_ascii()) && part.starts_with(|c: char| c.is_ascii());
        if latin {
            word.push(' ');
        }
        word.push_str(part);
    }
    word
}

/// `20`, `-1.5`, `:2.0`, `#0.35`.
fn is_weight(part: &str) -> bool {
    let number = part.strip_prefix([':', '#']).unwrap_or(part);
    number.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') && number.parse::<f64>().is_ok()
}

/// The number of the line, from 1, of the byte at `at`.
fn line_at(contents: &[u8], at: usize) -> usize {
    contents[..at].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// The beginning of a text.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
