//! What hotwords and text are compared by: one Chinese character with its readings, or the letters of a word.

use super::syllable::{Syllable, readings};

/// A part of a hotword.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Unit<'a> {
    /// A Chinese character.
    Character(char),
    /// A word of Latin letters and figures, as the user writes it.
    Word(&'a str),
}

/// The parts of a hotword; none where it has others than Chinese characters and Latin words.
pub fn units(hotword: &str) -> Option<Vec<Unit<'_>>> {
    let mut units = Vec::new();
    for part in hotword.split_whitespace() {
        let mut rest = part;
        while let Some(first) = rest.chars().next() {
            let length = if first.is_ascii() {
                let length = rest.find(|c: char| !c.is_ascii()).unwrap_or(rest.len());
                letters(&rest[..length])?;
                units.push(Unit::Word(&rest[..length]));
                length
            } else {
                if readings(first).is_empty() {
                    return None;
                }
                units.push(Unit::Character(first));
                first.len_utf8()
            };
            rest = &rest[length..];
        }
    }
    Some(units)
}

/// The letters and figures of a word, in lower case, less what stands between them: `Wi-Fi` is `wifi`. None where it
/// has other punctuation or has it at its ends, for that would be lost.
pub fn letters(word: &str) -> Option<String> {
    let has_letters_around = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.ends_with(|c: char| is_letter(c) && c != '\'')
    };
    let known = |c: char| is_letter(c) || matches!(c, '-' | '.' | '_' | '\'');
    if !has_letters_around(word) || !word.chars().all(known) {
        return None;
    }
    Some(word.chars().filter(|&c| is_letter(c)).map(|c| c.to_ascii_lowercase()).collect())
}

/// `+`, `#` and `&` tell C from C++ and ATT from AT&T.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '&')
}

/// A display token as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A Chinese character.
    Character(char, Vec<Syllable>),
    /// The letters of a word.
    Letters(String),
    /// Anything else: nothing is matched across it.
    Other,
}

impl Heard {
    /// Of a token's text.
    pub fn new(text: &str) -> Self {
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) if !character.is_ascii() => match readings(character) {
                readings if readings.is_empty() => Self::Other,
                readings => Self::Character(character, readings),
            },
            _ => letters(text).map_or(Self::Other, Self::Letters),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hotword_has_parts() {
        assert_eq!(units("阿里"), Some(vec![Unit::Character('阿'), Unit::Character('里')]));
        assert_eq!(units("5G基站"), Some(vec![Unit::Word("5G"), Unit::Character('基'), Unit::Character('站')]));
        assert_eq!(units("Visual Studio"), Some(vec![Unit::Word("Visual"), Unit::Word("Studio")]));
        for other in ["café", "你。好", "Ёлка", "カナ", "你 ,", "a/b", "（注）", "-x"] {
            assert_eq!(units(other), None, "{other}");
        }
    }

    #[test]
    fn letters_are_compared_without_case_and_hyphens() {
        for (word, expected) in [
            ("GStreamer", Some("gstreamer")),
            ("Wi-Fi", Some("wifi")),
            ("node.js", Some("nodejs")),
            ("it's", Some("its")),
            ("C++", Some("c++")),
            ("AT&T", Some("at&t")),
            ("40", Some("40")),
            ("end.", None),
            (".net", None),
            ("", None),
            ("-", None),
            ("你", None),
        ] {
            assert_eq!(letters(word).as_deref(), expected, "{word}");
        }
        assert_eq!(Heard::new("，"), Heard::Other);
        assert_eq!(Heard::new("你好"), Heard::Other);
        assert_eq!(Heard::new(""), Heard::Other);
    }
}
