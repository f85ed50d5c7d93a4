//! Final captions: each once, finished, with its times.
//!
//! A caption ends at the end of the utterance, at a punctuation mark once 6 characters are shown, at a pause of
//! 300 ms, when its lines are full, or at its longest duration. It is shown until 200 ms after its last word,
//! longer for the minimum duration and the reading speed, never longer than the longest duration, and not into the
//! next caption. So it is held until that end is certain: [`FinalCaptions::advance`] has reached it, the next
//! caption has begun, or [`FinalCaptions::finish`] is called.
//!
//! Words out of order: a caption never begins before the end of the one before, nor before the time the caller was
//! told is free of captions; one that would is moved up. A caption cut by the next one is still shown 40 ms, and the
//! next one moves up for it.

use std::collections::VecDeque;

use super::open::{OpenCaption, PAUSE_NS};
use super::{Caption, NS_PER_MS, SHORTEST_NS, Shape, Word};

/// How long a caption stays after its last word, where nothing else says so.
const LINGER_NS: u64 = 200 * NS_PER_MS;

/// Words in, finished captions out, in order: it is an iterator over the captions released so far, and after `None`
/// more may come.
#[derive(Clone, Debug, Default)]
pub struct FinalCaptions {
    shape: Shape,
    /// The last caption: open, or ended and held. Nothing is held but this one.
    open: Option<OpenCaption>,
    released: VecDeque<Caption>,
    /// No caption to come begins before this, ns.
    position_ns: u64,
}

impl FinalCaptions {
    /// Captions of this shape.
    pub fn new(shape: Shape) -> Self {
        Self { shape, ..Self::default() }
    }

    /// Changes the shape from the next word on: the open caption keeps its own if the word does not fit it.
    pub fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Takes the next word. Words come in time order; one that would begin a caption too early is moved up.
    pub fn word(&mut self, word: Word) {
        if word.text.trim().is_empty() {
            return;
        }
        // What the word's start alone shows is settled first, so that `advance` between two words changes nothing.
        self.settle(word.start_ns);
        let next = match &mut self.open {
            Some(open) => open.add(&word, self.shape),
            None => Some(OpenCaption::begin(&word, self.shape)),
        };
        let Some(mut next) = next else { return };
        self.release(Some(next.start_ns()));
        next.move_up(self.position_ns);
        self.open = Some(next);
    }

    /// Ends the utterance: the next word begins a caption. The last one is held until its end is certain.
    pub fn end_utterance(&mut self) {
        if let Some(open) = &mut self.open {
            open.end_utterance();
        }
    }

    /// Says that no word still to come starts before `safe_ns`; one that does is treated as late.
    pub fn advance(&mut self, safe_ns: u64) {
        self.settle(safe_ns);
        if self.open.is_none() {
            self.position_ns = self.position_ns.max(safe_ns);
        }
    }

    /// Start of the earliest caption that the iterator has not given yet, ns; `None` when nothing is held. What is
    /// not covered by captions may be declared empty up to here, or up to the last `advance` when nothing is held.
    pub fn earliest_ns(&self) -> Option<u64> {
        let open_ns = self.open.as_ref().map(OpenCaption::start_ns);
        self.released.front().map(|caption| caption.start_ns).or(open_ns)
    }

    /// Releases everything: the end of the stream or the segment.
    pub fn finish(&mut self) {
        self.release(None);
    }

    /// Forgets everything but the shape, the time of the last caption included.
    pub fn reset(&mut self) {
        *self = Self::new(self.shape);
    }

    /// Ends the caption if words from `safe_ns` on cannot belong to it, and releases it if they cannot cut it.
    fn settle(&mut self, safe_ns: u64) {
        let Some(open) = &mut self.open else { return };
        if safe_ns >= open.end_ns().saturating_add(PAUSE_NS) || safe_ns >= open.shape().latest_end_ns(open.start_ns()) {
            open.end();
        }
        if open.ended() && safe_ns >= wanted_end_ns(open) {
            self.release(None);
        }
    }

    /// Releases the open caption, cut by the start of the next one.
    fn release(&mut self, next_start_ns: Option<u64>) {
        let Some(open) = self.open.take() else { return };
        let start_ns = open.start_ns();
        let cut_ns = next_start_ns.map_or(u64::MAX, |next_ns| next_ns.max(start_ns.saturating_add(SHORTEST_NS)));
        let end_ns = wanted_end_ns(&open).min(cut_ns);
        self.position_ns = self.position_ns.max(end_ns);
        self.released.push_back(Caption { text: open.lines(), start_ns, end_ns });
    }
}

impl Iterator for FinalCaptions {
    type Item = Caption;

    fn next(&mut self) -> Option<Caption> {
        self.released.pop_front()
    }
}

/// When a caption ends unless the next one cuts it, ns.
fn wanted_end_ns(open: &OpenCaption) -> u64 {
    let shape = open.shape();
    let read_ns = open.start_ns().saturating_add(shape.least_duration_ns(open.text()));
    open.end_ns().saturating_add(LINGER_NS).max(read_ns).min(shape.latest_end_ns(open.start_ns()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start_ms: u64, end_ms: u64) -> Word {
        Word {
            text: text.to_owned(),
            space_before: text.is_ascii(),
            start_ns: start_ms * NS_PER_MS,
            end_ns: end_ms * NS_PER_MS,
        }
    }

    /// Speaks one word for each character, 100 ms each.
    fn speak(captions: &mut FinalCaptions, text: &str, start_ms: u64) {
        for (i, c) in text.chars().enumerate() {
            let at_ms = start_ms + 100 * i as u64;
            captions.word(word(&c.to_string(), at_ms, at_ms + 100));
        }
    }

    /// What is released now: text, start and end in ms.
    fn released(captions: &mut FinalCaptions) -> Vec<(String, u64, u64)> {
        captions.map(|c| (c.text, c.start_ns / NS_PER_MS, c.end_ns / NS_PER_MS)).collect()
    }

    fn caption(text: &str, start_ms: u64, end_ms: u64) -> (String, u64, u64) {
        (text.to_owned(), start_ms, end_ms)
    }

    fn advance_ms(captions: &mut FinalCaptions, safe_ms: u64) {
        captions.advance(safe_ms * NS_PER_MS);
    }

    #[test]
    fn a_pause_ends_a_caption_and_200_ms_follow_it() {
        let mut captions = FinalCaptions::default();
        speak(&mut captions, "今天天气很好", 1000);
        speak(&mut captions, "我们", 1899);
        assert_eq!(released(&mut captions), []);
        speak(&mut captions, "出去", 2400 - 1);
        assert_eq!(released(&mut captions), [caption("今天天气很好我们", 1000, 2299)]);
        captions.finish();
        assert_eq!(released(&mut captions), [caption("出去", 2399, 3232)]);
    }

    #[test]
    fn it_is_held_until_its_end_is_certain() {
        let mut captions = FinalCaptions::default();
        speak(&mut captions, "今天", 1000);
        assert_eq!(captions.earliest_ns(), Some(1_000_000_000));
        advance_ms(&mut captions, 1500);
        assert_eq!(released(&mut captions), []);
        advance_ms(&mut captions, 1832);
        assert_eq!((released(&mut captions), captions.earliest_ns()), (vec![], Some(1_000_000_000)));
        advance_ms(&mut captions, 1833);
        assert_eq!(captions.earliest_ns(), Some(1_000_000_000), "released, but not yet taken");
        assert_eq!(released(&mut captions), [caption("今天", 1000, 1833)]);
        assert_eq!(captions.earliest_ns(), None);
    }

    #[test]
    fn the_next_caption_cuts_a_stretched_end() {
        let mut captions = FinalCaptions::default();
        speak(&mut captions, "今天", 1000);
        advance_ms(&mut captions, 1500);
        speak(&mut captions, "好", 1600);
        assert_eq!(released(&mut captions), [caption("今天", 1000, 1600)]);
        assert_eq!(captions.earliest_ns(), Some(1_600_000_000));
    }

    #[test]
    fn the_reading_speed_stretches_and_the_longest_duration_caps() {
        let mut captions = FinalCaptions::default();
        captions.word(word("一二三四五六七八九十一二三四五六七八", 0, 500));
        captions.finish();
        assert_eq!(released(&mut captions), [caption("一二三四五六七八九十一二三四五六\n七八", 0, 2000)]);
        captions.set_shape(Shape { max_duration_ms: 1500, ..Shape::default() });
        captions.word(word("一二三四五六七八九十一二三四五六七八", 2000, 2500));
        captions.word(word("好", 9000, 20_000));
        captions.finish();
        let expected = [caption("一二三四五六七八九十一二三四五六\n七八", 2000, 3500), caption("好", 9000, 10_500)];
        assert_eq!(released(&mut captions), expected);
    }

    #[test]
    fn a_mark_ends_once_six_characters_are_shown() {
        let mut captions = FinalCaptions::default();
        speak(&mut captions, "你好，今天天气，很好", 0);
        captions.end_utterance();
        assert_eq!(released(&mut captions), [caption("你好，今天天气，", 0, 800)]);
        advance_ms(&mut captions, 1632);
        assert_eq!(released(&mut captions), []);
        advance_ms(&mut captions, 1633);
        assert_eq!(released(&mut captions), [caption("很好", 800, 1633)]);
    }

    #[test]
    fn full_lines_end_a_caption() {
        let mut captions = FinalCaptions::new(Shape { max_line_chars: 4, ..Shape::default() });
        speak(&mut captions, "一二三四五六七八九十", 0);
        captions.finish();
        assert_eq!(released(&mut captions), [caption("一二三四\n五六七八", 0, 800), caption("九十", 800, 1633)]);
    }

    #[test]
    fn the_longest_duration_ends_a_caption() {
        let mut captions = FinalCaptions::new(Shape { max_duration_ms: 1000, ..Shape::default() });
        speak(&mut captions, "一二三四五六七八九十一二", 0);
        assert_eq!(released(&mut captions), [caption("一二三四五六七八九十", 0, 1000)]);
        advance_ms(&mut captions, 1999);
        assert_eq!(released(&mut captions), [caption("一二", 1000, 1833)]);
        captions.word(word("长", 3000, 3900));
        advance_ms(&mut captions, 3999);
        assert_eq!(released(&mut captions), []);
        advance_ms(&mut captions, 4000);
        assert_eq!(released(&mut captions), [caption("长", 3000, 4000)]);
    }

    #[test]
    fn the_end_of_an_utterance_separates_words_without_a_pause() {
        let mut captions = FinalCaptions::default();
        captions.word(word("so", 0, 500));
        captions.end_utterance();
        captions.word(word("yes", 500, 900));
        captions.word(word("no", 900, 1000));
        captions.end_utterance();
        captions.word(word("。", 1000, 1000));
        captions.finish();
        let expected = [caption("so", 0, 500), caption("yes no", 500, 1000), caption("。", 1000, 1833)];
        assert_eq!(released(&mut captions), expected);
    }

    #[test]
    fn punctuation_joins_a_caption_that_is_still_held() {
        let mut captions = FinalCaptions::default();
        speak(&mut captions, "今天", 1000);
        advance_ms(&mut captions, 1550);
        captions.word(word("。", 1550, 1550));
        assert_eq!(released(&mut captions), []);
        advance_ms(&mut captions, 1833);
        assert_eq!(released(&mut captions), [caption("今天。", 1000, 1833)]);
        captions.word(word("！", 1900, 1900));
        captions.finish();
        assert_eq!(released(&mut captions), [caption("！", 1900, 2733)]);
    }

    #[test]
    fn late_words_are_moved_up() {
        let mut captions = FinalCaptions::default();
        advance_ms(&mut captions, 5000);
        captions.word(word("迟", 1000, 1200));
        captions.end_utterance();
        captions.word(word("到", 900, 1100));
        captions.finish();
        assert_eq!(released(&mut captions), [caption("迟", 5000, 5040), caption("到", 5040, 5873)]);
    }

    #[test]
    fn captions_of_one_instant_are_shown_one_after_another() {
        let mut captions = FinalCaptions::new(Shape { max_line_chars: 1, max_lines: 1, ..Shape::default() });
        for c in ["一", "二", "三"] {
            captions.word(word(c, 100, 100));
        }
        captions.finish();
        assert_eq!(
            released(&mut captions),
            [caption("一", 100, 140), caption("二", 140, 180), caption("三", 180, 1013)]
        );
    }

    #[test]
    fn words_that_overlap_do_not_make_captions_overlap() {
        let mut captions = FinalCaptions::default();
        captions.word(word("长", 0, 3000));
        captions.end_utterance();
        captions.word(word("短", 2500, 2600));
        captions.word(word("倒", 2550, 2400));
        captions.finish();
        assert_eq!(released(&mut captions), [caption("长", 0, 2500), caption("短倒", 2500, 3333)]);
    }

    #[test]
    fn blank_words_are_ignored_and_times_at_the_end_of_time_do_not_overflow() {
        let mut captions = FinalCaptions::default();
        captions.word(word(" \n", 0, 100));
        assert_eq!(captions.earliest_ns(), None);
        captions.word(Word { text: "好".to_owned(), space_before: true, start_ns: u64::MAX - 1, end_ns: u64::MAX });
        captions.advance(u64::MAX);
        assert_eq!(captions.count(), 1);
    }

    #[test]
    fn reset_forgets_all_but_the_shape() {
        let shape = Shape { max_lines: 1, ..Shape::default() };
        let mut captions = FinalCaptions::new(shape);
        speak(&mut captions, "今天", 10_000);
        captions.finish();
        captions.reset();
        assert_eq!((captions.earliest_ns(), captions.shape), (None, shape));
        captions.word(word("好", 0, 100));
        captions.finish();
        assert_eq!(released(&mut captions), [caption("好", 0, 833)]);
    }
}
