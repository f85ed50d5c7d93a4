//! The hotwords as a trie, which finds all that begin at a place of the text in time that hardly grows with their number.
//!
//! An edge is a character, filed under the class of each of its readings, or the letters of a word. All edges lie in two
//! sorted tables.

use std::collections::HashMap;

use super::syllable::{Difference, Syllable, difference, readings};
use super::unit::{Heard, Unit, letters};

const ROOT: u32 = 0;

/// A stretch of text that sounds like a hotword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The hotword's number.
    pub word: u32,
    /// The number of its first token.
    pub start: usize,
    /// For each unit of the hotword the number of the token after its last one.
    pub ends: Vec<usize>,
    /// How they differ.
    pub difference: Difference,
}

/// The index.
#[derive(Debug, Clone, Default)]
pub struct Trie {
    nodes: Vec<Node>,
    /// Parent, class, child; sorted.
    characters: Vec<(u32, u16, u32)>,
    /// Parent, letters, child; sorted.
    words: Vec<(u32, Box<str>, u32)>,
    classes: HashMap<(u8, &'static str), u16>,
    /// The most letters of a word.
    longest_word: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// The character that leads here; none for a word.
    character: Option<(char, Box<[Syllable]>)>,
    /// The hotword that ends here.
    hotword: Option<u32>,
}

/// What tells the edges below a node apart.
#[derive(PartialEq, Eq, Hash)]
enum Edge {
    Character(char),
    Word(String),
}

impl Trie {
    /// Of hotwords, each with a number. Of two that are compared alike the first counts.
    pub fn new<'a>(hotwords: impl IntoIterator<Item = (u32, &'a [Unit<'a>])>) -> Self {
        let mut trie = Self { nodes: vec![Node::default()], ..Self::default() };
        let mut children: HashMap<(u32, Edge), u32> = HashMap::new();
        for (number, units) in hotwords {
            let mut node = ROOT;
            for unit in units {
                let edge = match unit {
                    Unit::Character(character) => Edge::Character(*character),
                    Unit::Word(word) => Edge::Word(letters(word).unwrap_or_default()),
                };
                node = *children.entry((node, edge)).or_insert_with_key(|(_, edge)| trie.add(node, edge));
            }
            if let Some(end) = trie.nodes.get_mut(node as usize).filter(|_| node != ROOT) {
                end.hotword.get_or_insert(number);
            }
        }
        trie.characters.sort_unstable();
        trie.characters.dedup();
        trie.words.sort_unstable();
        trie
    }

    /// Adds a node, and gives its number.
    fn add(&mut self, parent: u32, edge: &Edge) -> u32 {
        let number = self.nodes.len() as u32;
        let mut node = Node::default();
        match edge {
            Edge::Character(character) => {
                let readings = readings(*character);
                for reading in &readings {
                    let next = self.classes.len() as u16;
                    let class = *self.classes.entry(reading.class()).or_insert(next);
                    self.characters.push((parent, class, number));
                }
                node.character = Some((*character, readings.into()));
            }
            Edge::Word(word) => {
                self.longest_word = self.longest_word.max(word.len());
                self.words.push((parent, word.as_str().into(), number));
            }
        }
        self.nodes.push(node);
        number
    }

    /// All stretches of `text` that can be compared with a hotword. `linked` says of each token whether it follows the
    /// one before without a pause.
    pub fn find(&self, text: &[Heard], linked: &[bool]) -> Vec<Match> {
        let classes = text.iter().map(|token| self.classes_of(token)).collect();
        let mut search = Search { trie: self, text, linked, classes, start: 0, ends: Vec::new(), found: Vec::new() };
        for start in 0..text.len() {
            search.start = start;
            search.visit(ROOT, start, Difference::default());
        }
        search.found
    }

    fn classes_of(&self, token: &Heard) -> Vec<u16> {
        let Heard::Character(_, readings) = token else { return Vec::new() };
        let mut classes: Vec<u16> =
            readings.iter().filter_map(|reading| self.classes.get(&reading.class()).copied()).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// The nodes below one, by characters of some classes, each once.
    fn below(&self, node: u32, classes: &[u16]) -> Vec<u32> {
        let mut children = Vec::new();
        for &class in classes {
            let first = self.characters.partition_point(|edge| (edge.0, edge.1) < (node, class));
            let edges = self.characters[first..].iter().take_while(|edge| (edge.0, edge.1) == (node, class));
            children.extend(edges.map(|edge| edge.2));
        }
        children.sort_unstable();
        children.dedup();
        children
    }

    /// The node below one by a word.
    fn below_word(&self, node: u32, word: &str) -> Option<u32> {
        let found = self.words.binary_search_by(|edge| (edge.0, &*edge.1).cmp(&(node, word))).ok()?;
        Some(self.words[found].2)
    }
}

struct Search<'a> {
    trie: &'a Trie,
    text: &'a [Heard],
    linked: &'a [bool],
    classes: Vec<Vec<u16>>,
    start: usize,
    ends: Vec<usize>,
    found: Vec<Match>,
}

impl Search<'_> {
    /// Goes on at token `at`, below `node`.
    fn visit(&mut self, node: u32, at: usize, difference: Difference) {
        let trie = self.trie;
        if let Some(word) = trie.nodes[node as usize].hotword {
            self.found.push(Match { word, start: self.start, ends: self.ends.clone(), difference });
        }
        if at >= self.text.len() || (at > self.start && !self.linked[at]) {
            return;
        }
        match &self.text[at] {
            Heard::Character(character, readings) => {
                for child in trie.below(node, &self.classes[at]) {
                    let Some((wanted, others)) = &trie.nodes[child as usize].character else { continue };
                    let step = match wanted == character {
                        true => Some(Difference::default()),
                        false => self::difference(readings, others),
                    };
                    if let Some(step) = step {
                        self.step(child, at + 1, difference.plus(step));
                    }
                }
            }
            Heard::Letters(_) => self.visit_words(node, at, difference),
            Heard::Other => {}
        }
    }

    /// Joins the words from token `at` on.
    fn visit_words(&mut self, node: u32, at: usize, difference: Difference) {
        let mut joined = String::new();
        for next in at..self.text.len() {
            let Heard::Letters(letters) = &self.text[next] else { break };
            joined.push_str(letters);
            if joined.len() > self.trie.longest_word || (next > at && !self.linked[next]) {
                break;
            }
            if let Some(child) = self.trie.below_word(node, &joined) {
                self.step(child, next + 1, difference);
            }
        }
    }

    fn step(&mut self, child: u32, at: usize, difference: Difference) {
        self.ends.push(at);
        self.visit(child, at, difference);
        self.ends.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::unit::units;
    use super::*;

    fn found(hotwords: &[&str], text: &[&str]) -> Vec<(u32, usize, Vec<usize>, u32)> {
        let hotwords: Vec<_> = hotwords.iter().map(|word| units(word).unwrap()).collect();
        let trie = Trie::new(hotwords.iter().enumerate().map(|(number, units)| (number as u32, units.as_slice())));
        let text: Vec<Heard> = text.iter().map(|token| Heard::new(token)).collect();
        let found = trie.find(&text, &vec![true; text.len()]);
        found.into_iter().map(|one| (one.word, one.start, one.ends, one.difference.cost())).collect()
    }

    #[test]
    fn characters_are_found_by_sound() {
        let hotwords = ["胜太路", "胜太", "银行"];
        assert_eq!(found(&hotwords, &["去", "生", "态", "路"]), [(1, 1, vec![2, 3], 0), (0, 1, vec![2, 3, 4], 0)]);
        assert_eq!(found(&hotwords, &["因", "航"]), [(2, 0, vec![1, 2], 10)]);
        assert_eq!(found(&hotwords, &["生", "，", "态"]), []);
        assert_eq!(found(&[], &["生", "态"]), []);
    }

    #[test]
    fn words_are_joined() {
        assert_eq!(found(&["GStreamer"], &["用", "g", "streamer"]), [(0, 1, vec![3], 0)]);
        assert_eq!(found(&["Visual Studio"], &["vis", "ual", "studio"]), [(0, 0, vec![2, 3], 0)]);
        assert_eq!(found(&["5G基站"], &["5", "g", "机", "战"]), [(0, 0, vec![2, 3, 4], 0)]);
        assert_eq!(found(&["Wi-Fi", "WiFi"], &["wifi"]), [(0, 0, vec![1], 0)]);
        assert_eq!(found(&["GStreamer"], &["g", "stream"]), []);
    }
}
