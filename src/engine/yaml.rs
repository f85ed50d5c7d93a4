//! YAML as text: every scalar stays what is written.
//!
//! FunASR's legacy configurations hold the vocabulary, and a reader that resolves types turns the tokens `no`, `on` and
//! `0` into something else.

use std::path::Path;

use saphyr_parser::{Event, Parser};

use super::{Error, Result};

/// A YAML document without types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// A scalar, as written.
    Scalar(String),
    /// A list.
    Sequence(Vec<Yaml>),
    /// Keys, which are scalars, and their values.
    Mapping(Vec<(String, Yaml)>),
}

/// Deeper nesting than any configuration has; a bound on the recursion.
const MAX_DEPTH: usize = 64;

impl Yaml {
    /// Reads the first document of `text`. Errors: [`Error::Model`] naming `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        let wrong = |found: String| Error::model(file, "YAML", found);
        let mut events = Vec::new();
        for event in Parser::new_from_str(text) {
            events.push(event.map_err(|e| wrong(e.to_string()))?.0);
        }
        let mut events = events
            .into_iter()
            .filter(|event| !matches!(event, Event::Nothing | Event::StreamStart | Event::DocumentStart(..)));
        let first = events.next();
        node(first, &mut events, 0).ok_or_else(|| wrong("a document that cannot be read".into()))
    }

    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        let Self::Mapping(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text, where this is a scalar.
    pub fn scalar(&self) -> Option<&str> {
        let Self::Scalar(text) = self else { return None };
        Some(text)
    }
}

fn node<'a>(event: Option<Event<'a>>, rest: &mut impl Iterator<Item = Event<'a>>, depth: usize) -> Option<Yaml> {
    if depth > MAX_DEPTH {
        return None;
    }
    match event? {
        Event::Scalar(text, ..) => Some(Yaml::Scalar(text.into_owned())),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match rest.next()? {
                    Event::SequenceEnd => return Some(Yaml::Sequence(items)),
                    event => items.push(node(Some(event), rest, depth + 1)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            loop {
                match rest.next()? {
                    Event::MappingEnd => return Some(Yaml::Mapping(entries)),
                    event => {
                        let key = node(Some(event), rest, depth + 1)?;
                        let next = rest.next();
                        let value = node(next, rest, depth + 1)?;
                        // A key that is no scalar is nothing we look for.
                        if let Yaml::Scalar(key) = key {
                            entries.push((key, value));
                        }
                    }
                }
            }
        }
        // Aliases and an empty document: nothing that a configuration needs.
        _ => Some(Yaml::Scalar(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_scalars_and_passes_tags_over() {
        let yaml = Yaml::parse(Path::new("c"), "a: 1.0\nb: !!python/tuple [1, no]\nc:\n  d: ~\n").unwrap();
        assert_eq!(yaml.get("a").and_then(Yaml::scalar), Some("1.0"));
        assert_eq!(yaml.get("b"), Some(&Yaml::Sequence(vec![Yaml::Scalar("1".into()), Yaml::Scalar("no".into())])));
        assert_eq!(yaml.get("c").and_then(|c| c.get("d")).and_then(Yaml::scalar), Some("~"));
        assert_eq!(yaml.get("e"), None);
    }

    #[test]
    fn what_is_no_yaml_is_named() {
        let error = Yaml::parse(Path::new("config.yaml"), "a: [1, 2").unwrap_err().to_string();
        assert!(error.starts_with("config.yaml: expected YAML, found"), "{error}");
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(Yaml::parse(Path::new("config.yaml"), &deep).is_err());
    }
}
