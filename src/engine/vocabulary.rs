//! Token ids to pieces: `tokens.json`, `tokens.txt` (with or without ids), and the list in a legacy `config.yaml`.

use std::path::Path;

use super::yaml::Yaml;
use super::{Error, Result};

/// Pieces that are never shown, in the order of FunASR's lists.
const SPECIALS: [&str; 4] = ["<blank>", "<s>", "</s>", "<unk>"];

/// The pieces of a model, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    pieces: Vec<String>,
    special: Vec<bool>,
}

impl Vocabulary {
    /// From the pieces in the order of their ids.
    pub fn new(pieces: Vec<String>) -> Self {
        let special = pieces.iter().map(|piece| SPECIALS.contains(&piece.as_str())).collect();
        Self { pieces, special }
    }

    /// Reads `tokens.json`: an array of strings. Errors: [`Error::Model`] naming `file`.
    pub fn from_json(file: &Path, text: &str) -> Result<Self> {
        let pieces: Vec<String> = serde_json::from_str(text)
            .map_err(|e| Error::model(file, "a JSON array of strings, one for each token", e.to_string()))?;
        Self::checked(file, pieces)
    }

    /// Reads `tokens.txt`: `piece id` a line, or one piece a line whose number is its id. Errors: [`Error::Model`]
    /// naming `file`.
    pub fn from_text(file: &Path, text: &str) -> Result<Self> {
        let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches('\r')).collect();
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        let lines = &lines[..used];
        let numbered: Option<Vec<(usize, &str)>> = lines.iter().map(|line| numbered_line(line)).collect();
        let Some(numbered) = numbered else {
            return Self::checked(file, lines.iter().map(|line| line.trim().to_owned()).collect());
        };
        let mut pieces = vec![None; numbered.len()];
        for (id, piece) in numbered {
            match pieces.get_mut(id) {
                Some(place @ None) => *place = Some(piece.to_owned()),
                Some(Some(other)) => {
                    return Err(Error::model(
                        file,
                        format!("id {id} once"),
                        format!("it for \"{other}\" and \"{piece}\""),
                    ));
                }
                None => {
                    let expected = format!("ids below {}, the number of lines", pieces.len());
                    return Err(Error::model(file, expected, id.to_string()));
                }
            }
        }
        Self::checked(file, pieces.into_iter().flatten().collect())
    }

    /// Reads the `token_list` of a legacy `config.yaml`, scalars as they are written. Nothing where there is none.
    /// Errors: [`Error::Model`] naming `file`.
    pub fn from_config(file: &Path, config: &Yaml) -> Result<Option<Self>> {
        let Some(list) = config.get("token_list") else { return Ok(None) };
        let wrong = |found: &str| Error::model(file, "token_list to be a list of tokens", found);
        let Yaml::Sequence(items) = list else { return Err(wrong("something else")) };
        let pieces: Option<Vec<String>> = items.iter().map(piece_of).collect();
        Self::checked(file, pieces.ok_or_else(|| wrong("an entry that is no token"))?).map(Some)
    }

    fn checked(file: &Path, pieces: Vec<String>) -> Result<Self> {
        if pieces.is_empty() {
            return Err(Error::model(file, "tokens", "none"));
        }
        Ok(Self::new(pieces))
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The piece of an id as the file has it, `@@` included. Nothing for what is never shown: blank, sentence marks,
    /// unknown, and ids beyond the vocabulary.
    pub fn piece(&self, id: usize) -> Option<&str> {
        (self.special.get(id) == Some(&false)).then(|| self.pieces[id].as_str())
    }
}

/// `piece id`; a line with an id alone is the space.
fn numbered_line(line: &str) -> Option<(usize, &str)> {
    let line = line.trim_end();
    let (piece, id) = line.rsplit_once([' ', '\t']).unwrap_or((" ", line));
    Some((id.parse().ok()?, if piece.trim().is_empty() { " " } else { piece.trim() }))
}

/// YAML takes the entry `- -` for a list that holds nothing: the token is a hyphen.
fn piece_of(entry: &Yaml) -> Option<String> {
    match entry {
        Yaml::Scalar(text) => Some(text.clone()),
        Yaml::Sequence(inner) => match inner.as_slice() {
            [Yaml::Scalar(text)] if text.is_empty() || text == "~" => Some("-".into()),
            _ => None,
        },
        Yaml::Mapping(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Result<Vocabulary> {
        Vocabulary::from_text(Path::new("tokens.txt"), text)
    }

    #[test]
    fn specials_are_never_shown() {
        let vocabulary =
            Vocabulary::from_json(Path::new("tokens.json"), r#"["<blank>","<s>","</s>","he@@","好","<unk>"]"#).unwrap();
        let shown: Vec<_> = (0..7).filter_map(|id| vocabulary.piece(id)).collect();
        assert_eq!(shown, ["he@@", "好"]);
        assert_eq!(vocabulary.len(), 6);
    }

    #[test]
    fn tokens_txt_in_its_three_forms() {
        let expected = Vocabulary::new(["<blank>", " ", "好", "0"].map(String::from).to_vec());
        assert_eq!(text("<blank> 0\n好 2\n1\n0 3\n").unwrap(), expected);
        assert_eq!(text("<blank>\t0\r\n好\t2\r\n  1\r\n0\t3\r\n\r\n").unwrap(), expected);
        assert_eq!(
            text("<blank>\n好\n0\n").unwrap(),
            Vocabulary::new(["<blank>", "好", "0"].map(String::from).to_vec())
        );
    }

    #[test]
    fn wrong_ids_are_named() {
        assert_eq!(
            text("a 0\nb 0\n").unwrap_err().to_string(),
            "tokens.txt: expected id 0 once, found it for \"a\" and \"b\""
        );
        assert_eq!(
            text("a 0\nb 7\n").unwrap_err().to_string(),
            "tokens.txt: expected ids below 2, the number of lines, found 7"
        );
        assert_eq!(text("\n\n").unwrap_err().to_string(), "tokens.txt: expected tokens, found none");
    }

    #[test]
    fn yaml_1_1_traps_stay_text() {
        let list = "token_list:\n- <blank>\n- no\n- on\n- off\n- yes\n- 0\n- 1\n- 1e5\n- 0x1F\n- 1:30\n- null\n- ~\n- -\n- '@'\n- \"'\"\n- 好\n";
        let file = Path::new("config.yaml");
        let yaml = Yaml::parse(file, list).unwrap();
        let vocabulary = Vocabulary::from_config(file, &yaml).unwrap().unwrap();
        let expected =
            ["<blank>", "no", "on", "off", "yes", "0", "1", "1e5", "0x1F", "1:30", "null", "~", "-", "@", "'", "好"];
        assert_eq!(vocabulary, Vocabulary::new(expected.map(String::from).to_vec()));
    }
}
