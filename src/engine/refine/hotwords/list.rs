//! The user's list of hotwords, from the property or a file.
//!
//! A file has one hotword a line, in UTF-8, with or without a byte order mark and carriage returns. Lines that begin
//! with `#` are comments. The weights of FunASR's files (`阿里巴巴 20`) and sherpa-onnx's (`阿里巴巴 :2.0`) are read and
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
                "“{first}”{} not used to repair text: that takes two or more Chinese characters or Latin letters alone",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(hotwords: &Hotwords) -> Vec<&str> {
        hotwords.words().iter().map(String::as_str).collect()
    }

    #[test]
    fn a_list_is_parted_by_white_space() {
        let hotwords = Hotwords::parse_list("  阿里巴巴\tGStreamer\n 达摩院 阿里巴巴 20 ").unwrap();
        assert_eq!(words(&hotwords), ["阿里巴巴", "GStreamer", "达摩院", "20"]);
        assert_eq!(hotwords.warnings(), [""; 0]);
        for empty in ["", " \n\t"] {
            assert_eq!(Hotwords::parse_list(empty).unwrap(), Hotwords::default());
        }
    }

    #[test]
    fn a_file_has_one_a_line() {
        for (contents, expected) in [
            ("\u{feff}阿里巴巴\r\n达摩院\r\n", &["阿里巴巴", "达摩院"][..]),
            ("# 名字\n\n  张珊  \n#张三\n张珊\n", &["张珊"]),
            ("阿里巴巴 20\n达摩院\t30\n魔搭 :2.0 #0.35\n科大 -1.5", &["阿里巴巴", "达摩院", "魔搭", "科大"]),
            ("语 音 识 别 :3.5\nVisual Studio\nVisual Studio 10\n5G 基 站", &["语音识别", "Visual Studio", "5G基站"]),
            ("20\nC#\n", &["20", "C#"]),
        ] {
            assert_eq!(words(&Hotwords::parse_file("a", contents.as_bytes()).unwrap()), expected, "{contents}");
        }
    }

    #[test]
    fn what_cannot_be_repaired_by_is_told() {
        let hotwords = Hotwords::parse_list("我 达摩院 café 史蒂夫·乔布斯 X").unwrap();
        assert_eq!(hotwords.words().len(), 5);
        let [warning] = hotwords.warnings() else { panic!("{:?}", hotwords.warnings()) };
        assert!(warning.starts_with("“我” and 3 more are not used to repair text"), "{warning}");
        let one = Hotwords::parse_file("names.txt", "我".as_bytes()).unwrap();
        assert!(one.warnings()[0].starts_with("names.txt: “我” is not used"), "{:?}", one.warnings());
        for empty in ["", "\u{feff}", "# nothing\n\n"] {
            let empty = Hotwords::parse_file("names.txt", empty.as_bytes()).unwrap();
            assert!(empty.is_empty());
            assert_eq!(empty.warnings(), ["names.txt: no hotwords: write one a line"]);
        }
    }

    #[test]
    fn a_bad_file_is_an_error_that_says_where() {
        let many: String = (0..=MAX_WORDS).map(|n| format!("w{n}\n")).collect();
        let long = format!("好\n{}\n", "长".repeat(MAX_WORD_CHARACTERS + 1));
        let utf16: Vec<u8> = "\u{feff}阿里".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (contents, expected) in [
            (vec![b'a'; 10_000_000], "this file has 9765 KiB: give one of up to 2048 KiB"),
            (b"ok\n\x7fELF\0\0".to_vec(), "line 2 has a zero byte, so this is no text: give the right file"),
            (b"ok\nok\n\xb0\xa2\xc0\xef\n".to_vec(), "line 3 is not UTF-8: save the file as UTF-8 (iconv"),
            (utf16, "this file is UTF-16: save it as UTF-8"),
            (many.into_bytes(), "line 20001: there are more than 20000 hotwords: leave some out"),
            (
                long.into_bytes(),
                "line 2: “长长长长长长长长长长长长长长长长长长长长…” has more than 64 characters: shorten it",
            ),
        ] {
            let error = Hotwords::parse_file("names.txt", &contents).unwrap_err().to_string();
            let start = "hotwords=@names.txt: expected a text file in UTF-8 with one hotword a line; ";
            assert!(error.starts_with(&format!("{start}{expected}")), "{error}");
        }
    }

    #[test]
    fn a_bad_list_is_an_error() {
        let long = "长".repeat(MAX_WORD_CHARACTERS + 1);
        let error = Hotwords::parse_list(&format!("好的 {long}")).unwrap_err().to_string();
        assert!(error.contains("has more than 64 characters: shorten it"), "{error}");
        assert!(error.starts_with("hotwords=好的 长长"), "{error}");
        assert!(Hotwords::parse_list(&"长".repeat(MAX_WORD_CHARACTERS)).is_ok());
        let many: String = (0..=MAX_WORDS).map(|n| format!("w{n} ")).collect();
        assert!(Hotwords::parse_list(&many).unwrap_err().to_string().contains("more than 20000 hotwords"));
    }
}
