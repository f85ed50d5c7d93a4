//! Punctuation: what counts as a character, what a caption may end at, what belongs to the word before.

use unicode_width::UnicodeWidthChar;

/// Marks at which a caption may end.
const PAUSES: [char; 13] = ['，', '。', '？', '！', '、', '；', '：', ',', '.', '?', '!', ';', ':'];

/// Closing quotes and brackets: they may stand after a pause mark and belong to it.
const CLOSERS: [char; 18] =
    ['”', '’', '」', '』', '）', '》', '】', '〉', '〕', '〗', '］', '｝', ')', ']', '}', '"', '\'', '»'];

/// Opening quotes and brackets: they belong to the word after.
const OPENERS: [char; 16] = ['“', '‘', '「', '『', '（', '《', '【', '〈', '〔', '〖', '［', '｛', '(', '[', '{', '«'];

/// Columns of a character: 2 for a full-width one, 1 for ASCII, 0 for a combining mark. Where Unicode leaves the
/// width to the context (quotes, dashes, the ellipsis), Chinese is the context.
pub(super) fn columns(c: char) -> usize {
    c.width_cjk().unwrap_or(1)
}

/// Whether a character is punctuation. Symbols that are read aloud (%, &, +, $, @, #) are not.
pub(super) fn is_punctuation(c: char) -> bool {
    PAUSES.contains(&c)
        || CLOSERS.contains(&c)
        || OPENERS.contains(&c)
        || matches!(c, '-' | '/' | '·' | '．' | '／' | '～' | '＂' | '＇' | '－' | '｡' | '､' | '\u{2010}'..='\u{2027}')
}

/// Whether a word is only punctuation that belongs to the word before.
pub(super) fn attaches(text: &str) -> bool {
    let mut marks = text.chars().filter(|c| !c.is_whitespace()).peekable();
    marks.peek().is_some() && marks.all(|c| is_punctuation(c) && !OPENERS.contains(&c))
}

/// Whether a text ends in a mark at which a caption may end, closing quotes and brackets aside.
pub(super) fn ends_in_pause(text: &str) -> bool {
    text.trim_end_matches(CLOSERS).ends_with(PAUSES)
}

/// Length of a text in half characters: full-width ones count 2, ASCII 1, spaces and punctuation nothing.
pub(super) fn half_chars(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace() && !is_punctuation(*c)).map(columns).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_full_width_and_ascii_a_half() {
        assert_eq!(half_chars("你好，world 2。"), 10);
        assert_eq!(half_chars("“……” —— (-)"), 0);
        assert_eq!(half_chars("50%"), 3);
        assert_eq!(half_chars("１０"), 4);
    }

    #[test]
    fn only_closing_punctuation_attaches() {
        for mark in ["，", "。", "?", "！”", "…", "——", ")", "、", "》，", " 。 "] {
            assert!(attaches(mark), "{mark}");
        }
        for word in ["《", "（", "好，", "%", "&", "", " ", "a", "3.5", "”“"] {
            assert!(!attaches(word), "{word}");
        }
    }

    #[test]
    fn a_pause_mark_keeps_its_closing_quotes() {
        for text in ["你好，", "你好。”", "（你好！）", "ok.", "你好？』》"] {
            assert!(ends_in_pause(text), "{text}");
        }
        for text in ["你好", "“你好”", "你好……", "3.5", "", "——", "？好"] {
            assert!(!ends_in_pause(text), "{text}");
        }
    }

    #[test]
    fn quotes_and_dashes_are_as_wide_as_chinese() {
        assert_eq!("你a，“—…é".chars().map(columns).collect::<Vec<_>>(), [2, 1, 2, 2, 2, 2, 1]);
        assert_eq!(columns('\u{301}'), 0);
    }
}
