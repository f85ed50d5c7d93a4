//! The hotwords as a trie, which finds all that begin at a place of the text in time that hardly grows with their
//! number.
//!
//! An edge is a character, filed under the class of each of its readings, or the letters of a word. All edges lie in
//! two sorted tables.

use std::collections::HashMap;
use std::ops::Range;

use super::syllable::{Difference, difference, readings};
use super::unit::{Heard, Unit, letters};

const ROOT: u32 = 0;
/// Characters that every sentence has: seldom is one of them a part of a name misheard.
const FUNCTION_WORDS: &str = "的地得了着过是在有不没我你他她它们这那个就也都还和与或而于以为把被从到对吗呢吧啊么什很";
/// What it costs to change one of them, in hundredths of a syllable.
const FUNCTION_WORD_COST: u32 = 30;
/// Shorter words have too many that are like them.
const MIN_MISSPELT_LETTERS: usize = 6;
/// What a wrong letter costs, in hundredths of a syllable.
const MISSPELT_COST: u32 = 50;

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
    character: Option<char>,
    /// Its edges in the table of characters.
    edges: Range<u32>,
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
        let mut edges = 0;
        for same_parent in trie.characters.chunk_by(|one, other| one.0 == other.0) {
            let first = edges;
            edges += same_parent.len() as u32;
            trie.nodes[same_parent[0].0 as usize].edges = first..edges;
        }
        trie
    }

    /// Adds a node, and gives its number.
    fn add(&mut self, parent: u32, edge: &Edge) -> u32 {
        let number = self.nodes.len() as u32;
        let mut node = Node::default();
        match edge {
            Edge::Character(character) => {
                for reading in readings(*character) {
                    let next = self.classes.len() as u16;
                    let class = *self.classes.entry(reading.class()).or_insert(next);
                    self.characters.push((parent, class, number));
                }
                node.character = Some(*character);
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
        let (path, children, found) = (Vec::new(), Vec::new(), Vec::new());
        let mut search = Search { trie: self, text, linked, classes, start: 0, path, children, found };
        for start in 0..text.len() {
            search.start = start;
            search.visit(ROOT, start);
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

    /// Appends the nodes below one by characters of some classes, each once.
    fn below(&self, node: u32, classes: &[u16], children: &mut Vec<u32>) {
        let Range { start, end } = self.nodes[node as usize].edges;
        let (edges, first_child) = (&self.characters[start as usize..end as usize], children.len());
        for &class in classes {
            let first = edges.partition_point(|edge| edge.1 < class);
            for edge in edges[first..].iter().take_while(|edge| edge.1 == class) {
                if !children[first_child..].contains(&edge.2) {
                    children.push(edge.2);
                }
            }
        }
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
    /// The nodes on the way, and for each the token after its last one.
    path: Vec<(u32, usize)>,
    /// The nodes still to be visited, of all that are on the way.
    children: Vec<u32>,
    found: Vec<Match>,
}

impl Search<'_> {
    /// Goes on at token `at`, below `node`. The classes alone lead the way: few ways that they allow end at a hotword,
    /// and what these cost is seen then.
    fn visit(&mut self, node: u32, at: usize) {
        if let Some(word) = self.trie.nodes[node as usize].hotword {
            self.take(word);
        }
        if at >= self.text.len() || (at > self.start && !self.linked[at]) {
            return;
        }
        match &self.text[at] {
            Heard::Character(..) => {
                let first = self.children.len();
                self.trie.below(node, &self.classes[at], &mut self.children);
                for child in first..self.children.len() {
                    self.step(self.children[child], at + 1);
                }
                self.children.truncate(first);
            }
            Heard::Letters(_) => self.visit_words(node, at),
            Heard::Other => {}
        }
    }

    /// Joins the words from token `at` on.
    fn visit_words(&mut self, node: u32, at: usize) {
        let mut joined = String::new();
        for next in at..self.text.len() {
            let Heard::Letters(letters) = &self.text[next] else { break };
            joined.push_str(letters);
            // A letter may be too much.
            if joined.len() > self.trie.longest_word + 1 || (next > at && !self.linked[next]) {
                break;
            }
            if let Some(child) = self.trie.below_word(node, &joined) {
                self.step(child, next + 1);
            } else if node == ROOT && joined.len() + 1 >= MIN_MISSPELT_LETTERS {
                self.take_similar(&joined, next + 1);
            }
        }
    }

    /// Keeps the hotwords of one word that are misspelt by one letter, but not the first.
    fn take_similar(&mut self, heard: &str, end: usize) {
        let first_letter = heard.get(..1).unwrap_or_default();
        let first = self.trie.words.partition_point(|edge| (edge.0, &*edge.1) < (ROOT, first_letter));
        for (parent, letters, child) in &self.trie.words[first..] {
            if *parent != ROOT || !letters.starts_with(first_letter) {
                break;
            }
            let Some(word) = self.trie.nodes[*child as usize].hotword else { continue };
            if letters.len() >= MIN_MISSPELT_LETTERS && one_letter_apart(heard, letters) {
                let difference = Difference { sounds: MISSPELT_COST, tones: 0 };
                self.found.push(Match { word, start: self.start, ends: vec![end], difference });
            }
        }
    }

    fn step(&mut self, child: u32, at: usize) {
        self.path.push((child, at));
        self.visit(child, at);
        self.path.pop();
    }

    /// Keeps the hotword that ends here, where its sounds can be taken for the text's.
    fn take(&mut self, word: u32) {
        let mut sum = Difference::default();
        for &(node, end) in &self.path {
            let Some(wanted) = self.trie.nodes[node as usize].character else { continue };
            let Heard::Character(character, heard) = &self.text[end - 1] else { return };
            if wanted != *character {
                let Some(step) = difference(heard, &readings(wanted)) else { return };
                sum = sum.plus(step);
                sum.sounds += if FUNCTION_WORDS.contains(*character) { FUNCTION_WORD_COST } else { 0 };
            }
        }
        let ends = self.path.iter().map(|step| step.1).collect();
        self.found.push(Match { word, start: self.start, ends, difference: sum });
    }
}

/// Whether one letter is another, missing or too much. Figures are never wrong: iPhone 15 is not iPhone 16.
fn one_letter_apart(one: &str, other: &str) -> bool {
    if one.len().abs_diff(other.len()) > 1 {
        return false;
    }
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let prefix = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[prefix..], &other[prefix..]);
    let suffix = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[..one.len() - suffix], &other[..other.len() - suffix]);
    one.len() <= 1 && other.len() <= 1 && !one.iter().chain(other).any(u8::is_ascii_digit)
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
        assert_eq!(found(&["GStreamer"], &["g", "streamers"]), [(0, 0, vec![2], 50)]);
        assert_eq!(found(&["GStreamer"], &["streamer"]), []);
        assert_eq!(found(&["iPhone15"], &["iphone", "16"]), []);
        assert_eq!(found(&["Cargo"], &["cargos"]), []);
    }
}
