//! Progressive captions: what an overlay shows now, chunk by chunk.
//!
//! A caption grows with its words. It begins anew when its lines are full or its longest duration is reached, after
//! the end of the utterance, after a punctuation mark once 6 characters are shown, and after it was taken away,
//! 1.5 s after its last word; a pause alone does not end it.
//!
//! A chunk shows one text, so a caption that begins in the middle of a chunk would hide the words that filled the
//! last one before anybody saw them. Words of the same utterance that were never shown therefore come along into
//! the new caption, as many of the last as fit.

use super::open::OpenCaption;
use super::{NS_PER_MS, Shape, Word};

/// How long a caption stays after its last word.
const STAY_NS: u64 = 1500 * NS_PER_MS;

/// Words in, the text shown now out.
#[derive(Clone, Debug, Default)]
pub struct ProgressiveCaption {
    shape: Shape,
    open: Option<OpenCaption>,
    /// How many words of the open caption have been shown.
    shown_words: usize,
    /// Words that may come next.
    previewed: Vec<Word>,
}

impl ProgressiveCaption {
    /// Captions of this shape; the minimum duration and the reading speed do not matter here.
    pub fn new(shape: Shape) -> Self {
        Self { shape, ..Self::default() }
    }

    /// Changes the shape from the next word on.
    pub fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Takes the next word. Words come in time order.
    pub fn word(&mut self, word: Word) {
        self.previewed.clear();
        if word.text.trim().is_empty() {
            return;
        }
        let next = match &mut self.open {
            Some(open) => {
                if word.start_ns > open.end_ns().saturating_add(STAY_NS) {
                    open.end();
                }
                let next = open.add(&word, self.shape);
                match next {
                    Some(next) if !open.utterance_ended() => Some(next.preceded_by(open, self.shown_words)),
                    next => next,
                }
            }
            None => Some(OpenCaption::begin(&word, self.shape)),
        };
        if next.is_some() {
            self.open = next;
            self.shown_words = 0;
        }
    }

    /// The final words of an utterance take the place of those that were shown of it, where its caption is still there.
    pub fn correct(&mut self, words: &[Word]) {
        let (Some(first), Some(last), Some(open)) = (words.first(), words.last(), &self.open) else { return };
        if open.start_ns() < first.start_ns || open.start_ns() > last.end_ns {
            return;
        }
        let mut corrected = Self::new(self.shape);
        words.iter().filter(|word| word.start_ns >= open.start_ns()).for_each(|word| corrected.word(word.clone()));
        let Some(mut new) = corrected.open else { return };
        if open.utterance_ended() {
            new.end_utterance();
        }
        self.shown_words = self.shown_words.min(new.len());
        self.open = Some(new);
        self.previewed.clear();
    }

    /// Shows words that may come next, until one comes or the utterance ends.
    pub fn preview(&mut self, words: Vec<Word>) {
        self.previewed = words;
    }

    /// Ends the utterance: the next word begins a caption. Call [`shown`](Self::shown) before the next utterance's
    /// words: nothing comes along from one utterance to another.
    pub fn end_utterance(&mut self) {
        self.previewed.clear();
        if let Some(open) = &mut self.open {
            open.end_utterance();
        }
    }

    /// The whole caption shown in the chunk that ends at `now_ns`, its lines joined by one `\n`; `None` when nothing
    /// is shown. Words that come late are shown for one chunk at least.
    pub fn shown(&mut self, now_ns: u64) -> Option<String> {
        if self.previewed.last().is_none_or(|word| now_ns > word.end_ns.saturating_add(STAY_NS)) {
            self.previewed.clear();
            return self.shown_now(now_ns);
        }
        let mut with_preview = self.clone();
        std::mem::take(&mut with_preview.previewed).into_iter().for_each(|word| with_preview.word(word));
        let text = with_preview.shown_now(now_ns);
        self.shown_now(now_ns);
        text
    }

    fn shown_now(&mut self, now_ns: u64) -> Option<String> {
        let open = self.open.as_ref()?;
        if self.shown_words == open.len() && now_ns > open.end_ns().saturating_add(STAY_NS) {
            self.open = None;
            return None;
        }
        self.shown_words = open.len();
        Some(open.lines())
    }

    /// Forgets everything but the shape.
    pub fn reset(&mut self) {
        *self = Self::new(self.shape);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Shape =
        Shape { max_line_chars: 4, max_lines: 2, max_duration_ms: 7000, min_duration_ms: 833, max_reading_speed: 9 };

    /// Speaks one word for each character, 100 ms each.
    fn speak(caption: &mut ProgressiveCaption, text: &str, start_ms: u64) {
        for (i, c) in text.chars().enumerate() {
            let start_ns = (start_ms + 100 * i as u64) * NS_PER_MS;
            let end_ns = start_ns + 100 * NS_PER_MS;
            caption.word(Word { text: c.to_string(), space_before: false, start_ns, end_ns });
        }
    }

    fn shown(caption: &mut ProgressiveCaption, now_ms: u64) -> Option<String> {
        caption.shown(now_ms * NS_PER_MS)
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_final_words_take_the_place_of_those_shown() {
        let words = |text: &str, start_ms: u64| -> Vec<Word> {
            let word = |(i, c): (usize, char)| {
                let start_ns = (start_ms + 100 * i as u64) * NS_PER_MS;
                Word { text: c.to_string(), space_before: false, start_ns, end_ns: start_ns + 100 * NS_PER_MS }
            };
            text.chars().enumerate().map(word).collect()
        };
        let mut caption = ProgressiveCaption::new(NARROW);
        speak(&mut caption, "今天天七很好", 1000);
        assert_eq!(shown(&mut caption, 1800), text("今天天七\n很好"));
        caption.end_utterance();
        caption.correct(&words("今天天气很好", 1000));
        assert_eq!(shown(&mut caption, 2400), text("今天天气\n很好"));
        // It goes as it would have gone, and the next utterance begins anew.
        speak(&mut caption, "我们", 2500);
        assert_eq!(shown(&mut caption, 3000), text("我们"));
        // What was corrected too late changes nothing.
        caption.correct(&words("今天天地很好", 1000));
        assert_eq!(shown(&mut caption, 3600), text("我们"));
        // A caption that began within the utterance has its last words.
        caption.end_utterance();
        speak(&mut caption, "一二三四五六七八九十", 4000);
        assert_eq!(shown(&mut caption, 5400), text("三四五六\n七八九十"));
        caption.correct(&words("一二三四五六七八九百", 4000));
        assert_eq!(shown(&mut caption, 6000), text("三四五六\n七八九百"));
        assert_eq!(shown(&mut caption, 7200), None);
    }

    #[test]
    fn it_grows_and_goes_1500_ms_after_its_last_word() {
        let mut caption = ProgressiveCaption::default();
        assert_eq!(shown(&mut caption, 600), None);
        speak(&mut caption, "今天", 700);
        assert_eq!(shown(&mut caption, 1200), text("今天"));
        assert_eq!(shown(&mut caption, 1800), text("今天"));
        speak(&mut caption, "天气", 2100);
        assert_eq!(shown(&mut caption, 2400), text("今天天气"), "a pause does not end it");
        assert_eq!(shown(&mut caption, 3800), text("今天天气"));
        assert_eq!(shown(&mut caption, 3801), None);
        speak(&mut caption, "好", 3700);
        assert_eq!(shown(&mut caption, 4000), text("好"));
    }

    #[test]
    fn a_preview_is_shown_until_words_take_its_place() {
        let mut caption = ProgressiveCaption::new(NARROW);
        let words = |text: &str, start_ms: u64| {
            let start_ns = start_ms * NS_PER_MS;
            vec![Word { text: text.into(), space_before: false, start_ns, end_ns: start_ns + 100 * NS_PER_MS }]
        };
        caption.preview(words("今", 0));
        assert_eq!(shown(&mut caption, 600), text("今"));
        assert_eq!(shown(&mut caption, 1200), text("今"));
        speak(&mut caption, "金天天气很好", 0);
        assert_eq!(shown(&mut caption, 1800), text("金天天气\n很好"));
        caption.preview(words("我", 700));
        assert_eq!(shown(&mut caption, 2200), text("金天天气\n很好我"));
        assert_eq!(shown(&mut caption, 2400), None, "it goes with its last word");
        speak(&mut caption, "好", 2500);
        caption.preview(words("我", 2600));
        caption.end_utterance();
        assert_eq!(shown(&mut caption, 3000), text("好"));
    }

    #[test]
    fn it_begins_anew_when_full() {
        let mut caption = ProgressiveCaption::new(NARROW);
        speak(&mut caption, "今天天气很好我们", 0);
        assert_eq!(shown(&mut caption, 800), text("今天天气\n很好我们"));
        speak(&mut caption, "出", 800);
        assert_eq!(shown(&mut caption, 900), text("出"));
    }

    #[test]
    fn words_that_filled_it_unseen_come_along() {
        let mut caption = ProgressiveCaption::new(NARROW);
        speak(&mut caption, "今天天气很好", 0);
        assert_eq!(shown(&mut caption, 600), text("今天天气\n很好"));
        speak(&mut caption, "我们出去", 600);
        assert_eq!(shown(&mut caption, 1200), text("我们出去"));
        speak(&mut caption, "走走吧今天天", 1200);
        assert_eq!(shown(&mut caption, 1800), text("走走吧今\n天天"));
    }

    #[test]
    fn words_come_along_within_the_longest_duration_only() {
        let mut caption = ProgressiveCaption::new(Shape { max_duration_ms: 250, ..NARROW });
        speak(&mut caption, "今天天气", 0);
        assert_eq!(shown(&mut caption, 600), text("天气"));
    }

    #[test]
    fn more_than_a_caption_in_one_chunk_shows_the_last_words() {
        let mut caption = ProgressiveCaption::new(NARROW);
        speak(&mut caption, "一二三四五六七八九十", 0);
        assert_eq!(shown(&mut caption, 1000), text("三四五六\n七八九十"));
    }

    #[test]
    fn it_begins_anew_after_a_mark_and_after_the_longest_duration() {
        let mut caption = ProgressiveCaption::default();
        speak(&mut caption, "今天，天气很好。", 0);
        assert_eq!(shown(&mut caption, 800), text("今天，天气很好。"));
        speak(&mut caption, "我们", 800);
        assert_eq!(shown(&mut caption, 1000), text("我们"));
        for second in 2..8 {
            speak(&mut caption, "走", second * 1000);
            shown(&mut caption, second * 1000 + 600);
        }
        assert_eq!(shown(&mut caption, 7700), text("我们走走走走走走"));
        speak(&mut caption, "吧", 7750);
        assert_eq!(shown(&mut caption, 8000), text("吧"));
    }

    #[test]
    fn it_begins_anew_after_the_utterance() {
        let mut caption = ProgressiveCaption::default();
        speak(&mut caption, "今天", 0);
        caption.end_utterance();
        assert_eq!(shown(&mut caption, 600), text("今天"));
        speak(&mut caption, "好", 600);
        caption.end_utterance();
        speak(&mut caption, "的", 700);
        assert_eq!(shown(&mut caption, 1200), text("的"), "nothing comes along from another utterance");
    }

    #[test]
    fn late_words_are_shown_once() {
        let mut caption = ProgressiveCaption::default();
        speak(&mut caption, "迟", 0);
        assert_eq!(shown(&mut caption, 9000), text("迟"));
        assert_eq!(shown(&mut caption, 9600), None);
    }

    #[test]
    fn a_word_after_it_should_have_gone_begins_anew() {
        let mut caption = ProgressiveCaption::default();
        speak(&mut caption, "今天", 0);
        assert_eq!(shown(&mut caption, 1200), text("今天"));
        speak(&mut caption, "好", 1701);
        assert_eq!(shown(&mut caption, 2400), text("好"));
        caption.reset();
        assert_eq!(shown(&mut caption, 2400), None);
    }
}
