//! The caption that is being filled, and which word begins the next one.

use super::marks::{attaches, ends_in_pause, half_chars};
use super::{NS_PER_MS, Shape, Word, break_lines};

/// Half characters that must be shown before a punctuation mark ends a caption: 6 full-width characters.
const MARK_ENDS_FROM_HALF_CHARS: usize = 12;

/// Silence between two words that ends a final caption.
pub(super) const PAUSE_NS: u64 = 300 * NS_PER_MS;

/// A caption that may still take words. It has at least one.
#[derive(Clone, Debug)]
pub(super) struct OpenCaption {
    text: String,
    words: Vec<Placed>,
    start_ns: u64,
    /// The shape that its last word was laid out in; a changed one applies from the next word.
    shape: Shape,
    ended: bool,
    utterance_ended: bool,
}

/// A word of the text, with the punctuation attached to it.
#[derive(Clone, Copy, Debug)]
struct Placed {
    /// Where it begins in the text, bytes.
    offset: usize,
    space_before: bool,
    start_ns: u64,
    /// The latest end of this word and those before it.
    end_ns: u64,
}

impl OpenCaption {
    /// A caption that begins with this word, whatever its length.
    pub(super) fn begin(word: &Word, shape: Shape) -> Self {
        let mut caption = Self {
            text: String::with_capacity(word.text.len()),
            words: Vec::new(),
            start_ns: word.start_ns,
            shape,
            ended: false,
            utterance_ended: false,
        };
        caption.place(word);
        caption.end_at_mark();
        caption
    }

    /// Takes a word, or gives back the caption that it begins. Punctuation goes with the word before: where it no
    /// longer fits, that word moves over to the next caption with it.
    pub(super) fn add(&mut self, word: &Word, shape: Shape) -> Option<Self> {
        if attaches(&word.text) && !self.utterance_ended {
            return self.attach(word, shape);
        }
        let too_long = word.end_ns > shape.latest_end_ns(self.start_ns);
        if self.ended || too_long || !self.append(word, shape) {
            return Some(Self::begin(word, shape));
        }
        self.shape = shape;
        self.end_at_mark();
        None
    }

    /// Appends a word if the lines hold it.
    fn append(&mut self, word: &Word, shape: Shape) -> bool {
        let before = self.text.len();
        self.place(word);
        let fits = shape.holds(&self.text);
        if !fits {
            self.text.truncate(before);
            self.words.pop();
        }
        fits
    }

    /// Appends punctuation to the last word. A word with its punctuation that no caption holds is where this ends:
    /// the punctuation then begins a caption, so that no flood of it can make one grow without bound.
    fn attach(&mut self, mark: &Word, shape: Shape) -> Option<Self> {
        let before = self.text.len();
        let last = self.words.len() - 1;
        self.push_text(&mark.text);
        if shape.holds(&self.text) {
            let end_ns = &mut self.words[last].end_ns;
            *end_ns = (*end_ns).max(mark.start_ns).max(mark.end_ns);
            self.shape = shape;
            self.end_at_mark();
            return None;
        }
        let Placed { offset, space_before, start_ns, end_ns } = self.words[last];
        if last == 0 || !shape.holds(&self.text[offset..]) {
            self.text.truncate(before);
            return Some(Self::begin(mark, shape));
        }
        let moved = Word {
            text: self.text.split_off(offset),
            space_before,
            start_ns,
            end_ns: end_ns.max(mark.start_ns).max(mark.end_ns),
        };
        self.text.truncate(self.text.trim_end().len());
        self.words.pop();
        Some(Self::begin(&moved, shape))
    }

    /// This caption, with the words of the last one from `first` on in front, as many as lines and duration hold.
    pub(super) fn preceded_by(self, last: &Self, first: usize) -> Self {
        let held = |words: &[Placed]| {
            let text = self.after(&last.text[words[0].offset..]);
            let in_time = self.end_ns() <= self.shape.latest_end_ns(words[0].start_ns);
            (in_time && self.shape.holds(&text)).then_some(text)
        };
        let unshown = last.words.get(first..).unwrap_or_default();
        let Some((words, text)) =
            (0..unshown.len()).find_map(|skip| held(&unshown[skip..]).map(|text| (&unshown[skip..], text)))
        else {
            return self;
        };
        let moved_by = text.len() - self.text.len();
        let in_front = words.iter().map(|word| Placed { offset: word.offset - words[0].offset, ..*word });
        let behind = self.words.iter().map(|word| Placed { offset: word.offset + moved_by, ..*word });
        let mut joined =
            Self { text, words: in_front.chain(behind).collect(), start_ns: words[0].start_ns, ended: false, ..self };
        joined.end_at_mark();
        joined
    }

    /// This caption's text after another, with the space its first word asks for.
    fn after(&self, before: &str) -> String {
        let space = if self.words[0].space_before { " " } else { "" };
        [before, space, &self.text].concat()
    }

    fn place(&mut self, word: &Word) {
        if word.space_before && !self.text.is_empty() {
            self.text.push(' ');
        }
        let offset = self.text.len();
        self.push_text(&word.text);
        self.words.push(Placed {
            offset,
            space_before: word.space_before,
            start_ns: word.start_ns,
            end_ns: self.words.last().map_or(0, |last| last.end_ns).max(word.start_ns).max(word.end_ns),
        });
    }

    /// White space inside a word is shown as one space, so that no word brings a line break of its own.
    fn push_text(&mut self, text: &str) {
        for (i, part) in text.split_whitespace().enumerate() {
            if i > 0 {
                self.text.push(' ');
            }
            self.text.push_str(part);
        }
    }

    fn end_at_mark(&mut self) {
        self.ended |= ends_in_pause(&self.text) && half_chars(&self.text) >= MARK_ENDS_FROM_HALF_CHARS;
    }

    /// The next word begins a caption; punctuation may still attach.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The next word begins a caption, be it punctuation.
    pub(super) fn end_utterance(&mut self) {
        self.ended = true;
        self.utterance_ended = true;
    }

    /// Whether the next word begins a caption.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether its utterance is over.
    pub(super) fn utterance_ended(&self) -> bool {
        self.utterance_ended
    }

    /// Makes it begin no earlier than this, ns.
    pub(super) fn move_up(&mut self, position_ns: u64) {
        self.start_ns = self.start_ns.max(position_ns);
    }

    /// When it begins, ns.
    pub(super) fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// When its last word ends, ns; never before its start.
    pub(super) fn end_ns(&self) -> u64 {
        self.words.last().map_or(self.start_ns, |last| last.end_ns.max(self.start_ns))
    }

    /// How many words it has; attached punctuation does not count.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Its text without line breaks.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The shape it is laid out in.
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its lines, joined by one `\n`.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::with_capacity(self.text.len() + self.shape.max_lines.min(8) as usize);
        for line in break_lines(&self.text, self.shape.max_line_chars) {
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(line);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape =
        Shape { max_line_chars: 4, max_lines: 2, max_duration_ms: 7000, min_duration_ms: 833, max_reading_speed: 9 };

    fn word(text: &str, start_ms: u64) -> Word {
        let space_before = text.starts_with(' ');
        Word {
            text: text.trim().to_owned(),
            space_before,
            start_ns: start_ms * NS_PER_MS,
            end_ns: (start_ms + 100) * NS_PER_MS,
        }
    }

    /// A caption of these words, 100 ms each from 0, and the one that the last of them begins.
    fn filled(texts: &[&str]) -> (OpenCaption, Option<OpenCaption>) {
        let mut caption = OpenCaption::begin(&word(texts[0], 0), SHAPE);
        let mut next = None;
        for (i, text) in texts.iter().enumerate().skip(1) {
            assert!(next.is_none(), "{text} comes after the caption is full");
            next = caption.add(&word(text, 100 * i as u64), SHAPE);
        }
        (caption, next)
    }

    #[test]
    fn a_word_that_no_longer_fits_begins_the_next() {
        let (caption, next) = filled(&["今", "天", "天", "气", "很", "好", "我", "们", "出"]);
        assert_eq!(caption.lines(), "今天天气\n很好我们");
        assert_eq!((caption.len(), caption.end_ns()), (8, 800_000_000));
        let next = next.unwrap();
        assert_eq!((next.lines().as_str(), next.start_ns(), next.end_ns()), ("出", 800_000_000, 900_000_000));
    }

    #[test]
    fn spaces_stand_inside_lines_only() {
        let (caption, next) = filled(&[" a", " b", "好", " good", " c", " things"]);
        assert_eq!(caption.lines(), "a b好\ngood c");
        assert_eq!(next.unwrap().lines(), "things");
    }

    #[test]
    fn punctuation_that_does_not_fit_takes_its_word_along() {
        let (caption, next) = filled(&["今", "天", "天", "气", "很", "好", "我", "们", "。"]);
        assert_eq!(caption.lines(), "今天天气\n很好我");
        assert_eq!(caption.end_ns(), 700_000_000);
        let next = next.unwrap();
        assert_eq!((next.lines().as_str(), next.start_ns(), next.end_ns()), ("们。", 700_000_000, 900_000_000));
    }

    #[test]
    fn a_word_taken_along_leaves_no_space_behind() {
        let (caption, next) = filled(&["abcdefgh", " ijkl", " mno", " ,"]);
        let next = next.unwrap();
        assert_eq!((caption.text(), next.text()), ("abcdefgh ijkl", "mno,"));
        assert_eq!(next.preceded_by(&caption, 1).text(), "ijkl mno,");
    }

    #[test]
    fn punctuation_takes_no_space_and_the_word_after_does() {
        let (mut caption, next) = filled(&["yes", " ,", " no"]);
        assert!(next.is_none());
        assert_eq!(caption.lines(), "yes, no");
        assert!(caption.add(&word("。", 900), SHAPE).is_none());
        assert_eq!(caption.end_ns(), 1_000_000_000);
    }

    #[test]
    fn a_mark_ends_from_six_characters_on() {
        let (caption, _) = filled(&["一", "二", "三", "四", "五", "，"]);
        assert!(!caption.ended());
        let (mut caption, _) = filled(&["一", "二", "三", "四", "五", "六", "。"]);
        assert!(caption.ended());
        assert!(caption.add(&word("”", 700), SHAPE).is_none(), "a closing quote still attaches");
        assert_eq!(caption.add(&word("七", 800), SHAPE).unwrap().lines(), "七");
        assert_eq!(caption.lines(), "一二三四\n五六。”");
        assert!(OpenCaption::begin(&word("一二三四五六，", 0), SHAPE).ended(), "a mark inside a word counts");
    }

    #[test]
    fn a_word_longer_than_a_caption_stands_alone() {
        let (caption, next) = filled(&["abcdefghijklmnopqrstuvwxyz", "好"]);
        assert_eq!(caption.lines(), "abcdefgh\nijklmnop\nqrstuvwx\nyz");
        assert_eq!(next.unwrap().lines(), "好");
    }

    #[test]
    fn a_flood_of_punctuation_is_bounded() {
        let (caption, next) = filled(&["好", "。", "。", "。", "。", "。", "。", "。", "。"]);
        assert_eq!(caption.lines(), "好。。。\n。。。。");
        assert_eq!(next.unwrap().lines(), "。");
    }

    #[test]
    fn a_word_that_ends_too_late_begins_the_next() {
        let (mut caption, _) = filled(&["好"]);
        assert!(caption.add(&word("的", 6900), SHAPE).is_none());
        assert!(caption.add(&word("吗", 6901), SHAPE).is_some());
    }

    #[test]
    fn only_the_utterances_end_keeps_punctuation_off() {
        let (mut caption, _) = filled(&["好"]);
        caption.end();
        assert!(caption.add(&word("。", 100), SHAPE).is_none());
        caption.end_utterance();
        assert_eq!(caption.add(&word("。", 200), SHAPE).unwrap().lines(), "。");
    }

    #[test]
    fn words_in_front_come_along_as_far_as_they_fit() {
        let (last, next) = filled(&["今", "天", "天", "气", "很", "好", "我", "们", " we"]);
        let next = next.unwrap();
        let joined = next.clone().preceded_by(&last, 5);
        assert_eq!((joined.lines().as_str(), joined.start_ns(), joined.len()), ("好我们\nwe", 500_000_000, 4));
        assert_eq!(next.clone().preceded_by(&last, 0).lines(), "天气很好\n我们 we");
        assert_eq!(next.preceded_by(&last, 8).lines(), "we");
    }

    #[test]
    fn a_changed_shape_applies_from_the_next_word() {
        let (mut caption, _) = filled(&["今", "天", "天", "气", "很"]);
        let narrow = Shape { max_line_chars: 2, ..SHAPE };
        assert_eq!(caption.add(&word("好", 500), narrow).unwrap().shape().max_line_chars, 2);
        assert_eq!(caption.lines(), "今天天气\n很");
        let wide = Shape { max_line_chars: 8, ..SHAPE };
        assert!(caption.add(&word("好", 500), wide).is_none());
        assert_eq!(caption.lines(), "今天天气很好");
    }
}
