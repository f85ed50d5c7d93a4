//! The classes of a punctuation model: what each puts after a word.

use std::path::Path;

use crate::engine::yaml::Yaml;
use crate::engine::{Error, Result};

/// FunASR's names of the classes that put nothing: the unknown word's, which no word is trained to have, and none.
const NOTHING: [&str; 2] = ["<unk>", "_"];

/// What the classes put after a word, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    texts: Vec<String>,
    period: usize,
}

impl Marks {
    /// Reads `punc_list` of a `config.yaml` (there in `model_conf`) or of an older `punc.yaml`. Its ASCII comma and question
    /// mark stand for the full-width ones. Errors: [`Error::Model`] naming `file`.
    pub fn from_yaml(file: &Path, yaml: &Yaml) -> Result<Self> {
        let expected = "a punctuation model's list of marks (punc_list in model_conf)";
        let list =
            yaml.get("model_conf").and_then(|section| section.get("punc_list")).or_else(|| yaml.get("punc_list"));
        let Some(Yaml::Sequence(items)) = list else {
            return Err(Error::model(file, expected, if list.is_some() { "no list" } else { "none" }));
        };
        let texts: Option<Vec<&str>> = items.iter().map(Yaml::scalar).collect();
        Self::new(&texts.ok_or_else(|| Error::model(file, expected, "an entry that is no text"))?)
            .ok_or_else(|| Error::model(file, "punc_list to have \"_\" and \"。\"", format!("{items:?}")))
    }

    /// From the marks in the order of their classes. None without one that puts nothing and one that ends a sentence.
    pub fn new(texts: &[&str]) -> Option<Self> {
        let full = |text: &&str| match *text {
            "," => "，".to_owned(),
            "?" => "？".to_owned(),
            text => text.to_owned(),
        };
        let texts: Vec<String> = texts.iter().map(full).collect();
        let period = texts.iter().rposition(|text| text == "。")?;
        texts.iter().any(|text| text == "_").then_some(Self { texts, period })
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none, which [`new`](Self::new) never gives.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// What a class puts after a word; none where that is nothing.
    pub fn text(&self, class: usize) -> Option<&str> {
        self.texts.get(class).map(String::as_str).filter(|text| !NOTHING.contains(text))
    }

    /// The class of `。`.
    pub fn period(&self) -> usize {
        self.period
    }

    /// Whether a class ends a sentence.
    pub fn ends_sentence(&self, class: usize) -> bool {
        matches!(self.text(class), Some("。" | "？"))
    }

    /// Whether a class is the comma, where a sentence that is too long is cut.
    pub fn is_comma(&self, class: usize) -> bool {
        self.text(class) == Some("，")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Marks> {
        let file = Path::new("config.yaml");
        Marks::from_yaml(file, &Yaml::parse(file, text)?)
    }

    #[test]
    fn ascii_marks_are_the_full_width_ones() {
        let marks = read("model_conf:\n  punc_list: [<unk>, _, ',', 。, '?', 、]\n").unwrap();
        let texts: Vec<_> = (0..7).map(|class| marks.text(class)).collect();
        assert_eq!(texts, [None, None, Some("，"), Some("。"), Some("？"), Some("、"), None]);
        assert_eq!((marks.len(), marks.period()), (6, 3));
        assert_eq!([2, 3, 4, 5].map(|class| marks.ends_sentence(class)), [false, true, true, false]);
        assert_eq!([1, 2, 3].map(|class| marks.is_comma(class)), [false, true, false]);
        assert_eq!(read("punc_list:\n- <unk>\n- _\n- ，\n- 。\n- ？\n- 、\n").unwrap(), marks);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        let expected = "config.yaml: expected a punctuation model's list of marks (punc_list in model_conf), found";
        assert_eq!(message("model_conf:\n  x: 1\n"), format!("{expected} none"));
        assert_eq!(message("punc_list: 1\n"), format!("{expected} no list"));
        assert_eq!(message("punc_list: [[1]]\n"), format!("{expected} an entry that is no text"));
        assert!(message("punc_list: [_, x]\n").contains("expected punc_list to have \"_\" and \"。\""));
    }
}
