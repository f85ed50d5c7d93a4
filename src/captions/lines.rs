//! The lines of a caption.
//!
//! Text may break where Unicode's line breaking algorithm (UAX #14) lets Chinese and English break: between
//! Chinese characters and at spaces, never inside an English word or a number, never before a closing mark or
//! after an opening one. Lines are filled greedily. What has no such place and is wider than a line (a long English
//! word) gets lines of its own, broken where the width ends.

use std::iter;

use unicode_linebreak::{BreakOpportunity, linebreaks};

use super::marks::{columns, is_punctuation};

/// Breaks a text into lines of at most `max_line_chars` full-width characters (ASCII counts a half; 0 is taken as
/// 1). No line is empty or has white space at its ends; no other character is left out, and no hyphen is added.
pub fn break_lines(text: &str, max_line_chars: u32) -> impl Iterator<Item = &str> {
    let max_columns = (max_line_chars.max(1) as usize).saturating_mul(2);
    let mut places = linebreaks(text).peekable();
    let mut start = 0;
    iter::from_fn(move || {
        start += text[start..].len() - text[start..].trim_start().len();
        if start == text.len() {
            return None;
        }
        let mut end = start;
        let mut width = 0;
        while let Some(&(place, kind)) = places.peek() {
            // Places inside white space at the line's start, or before a hard break, are behind us.
            if place > start {
                let piece = &text[end..place];
                if width + columns_of(piece.trim_end()) > max_columns {
                    break;
                }
                width += columns_of(piece);
                end = place;
            }
            places.next();
            if kind == BreakOpportunity::Mandatory && end > start {
                break;
            }
        }
        if end == start {
            let place = places.peek().map_or(text.len(), |&(place, _)| place);
            end += hard_break(text[start..place].trim_end(), max_columns);
        }
        let line = text[start..end].trim_end();
        start = end;
        Some(line)
    })
}

/// Columns of a text.
fn columns_of(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Where to cut a piece that is wider than a line and may not be broken, in bytes: as late as the width allows, and
/// not before punctuation if there is another place. Never 0, so that a line always advances.
fn hard_break(piece: &str, max_columns: usize) -> usize {
    let mut width = 0;
    let mut places = piece.char_indices().take_while(|&(at, c)| {
        width += columns(c);
        at == 0 || width <= max_columns
    });
    let latest = places.by_ref().last().map_or(0, |(at, c)| at + c.len_utf8());
    let starts_well = |at: usize| !piece[at..].starts_with(|c| is_punctuation(c) || columns(c) == 0);
    let places_back = piece[..latest].char_indices().rev().map(|(at, _)| at).filter(|&at| at > 0);
    iter::once(latest).chain(places_back).find(|&at| starts_well(at)).unwrap_or(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, max_line_chars: u32) -> Vec<&str> {
        break_lines(text, max_line_chars).collect()
    }

    #[test]
    fn chinese_breaks_between_characters() {
        assert_eq!(lines("今天天气很好我们出去走走", 5), ["今天天气很", "好我们出去", "走走"]);
        assert_eq!(lines("今天天气很", 5), ["今天天气很"]);
        assert_eq!(lines("", 5), [""; 0]);
        assert_eq!(lines("  ", 5), [""; 0]);
    }

    #[test]
    fn closing_marks_never_begin_a_line() {
        assert_eq!(lines("今天天气很，好", 5), ["今天天气", "很，好"]);
        assert_eq!(lines("今天天气，很好", 5), ["今天天气，", "很好"]);
        assert_eq!(lines("我说今天。”他走了", 5), ["我说今", "天。”他走", "了"]);
        assert_eq!(lines("天气很好（大概）吧", 5), ["天气很好", "（大概）吧"]);
        assert_eq!(lines("我昨天看《红楼梦》", 5), ["我昨天看", "《红楼梦》"]);
    }

    #[test]
    fn english_breaks_at_spaces_only() {
        assert_eq!(lines("we use GStreamer pipelines", 8), ["we use GStreamer", "pipelines"]);
        assert_eq!(lines("我们用GStreamer做字幕", 6), ["我们用", "GStreamer做", "字幕"]);
        assert_eq!(lines("version 3.14 of it", 6), ["version 3.14", "of it"]);
        assert_eq!(lines("don't stop", 4), ["don't", "stop"]);
    }

    #[test]
    fn spaces_at_line_ends_go() {
        assert_eq!(lines("hello world", 3), ["hello", "world"]);
        assert_eq!(lines(" a  b ", 1), ["a", "b"]);
        assert_eq!(lines("你好 world", 2), ["你好", "worl", "d"]);
    }

    #[test]
    fn a_word_longer_than_a_line_is_broken_hard() {
        assert_eq!(lines("an internationalization b", 5), ["an", "internatio", "nalization", "b"]);
        assert_eq!(lines("abcdefghijk lm", 5), ["abcdefghij", "k lm"]);
    }

    #[test]
    fn a_hard_break_does_not_put_a_mark_first_if_it_can() {
        assert_eq!(lines("abcdefghij,", 5), ["abcdefghi", "j,"]);
        assert_eq!(lines("abcdefghie\u{301},", 5), ["abcdefghi", "e\u{301},"]);
        assert_eq!(lines("字，", 1), ["字", "，"]);
        assert_eq!(lines("ae\u{301}e\u{301}", 1), ["ae\u{301}", "e\u{301}"]);
    }

    #[test]
    fn white_space_of_any_kind_leaves_no_empty_line() {
        assert_eq!(lines("\n你\n\n好 \u{3000}吗\n", 8), ["你", "好 \u{3000}吗"]);
        assert_eq!(lines("好\r\n", 1), ["好"]);
    }
}
