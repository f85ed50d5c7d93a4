//! Times for a text that has none, from another text of the same audio that has: an alignment by edit distance.
//!
//! A token takes the time of its partner. Tokens without one share the gap between their neighbours' partners; where
//! the gap is too short for them, the neighbour's time as well.

use crate::engine::detokenizer::{Detokenizer, Spacing, Word};
use crate::engine::timing::Span;
use crate::engine::{DisplayToken, Piece};

/// The longest time of a token that has no partner: as a streaming token's.
const MAX_TOKEN_NS: u64 = 600_000_000;
/// The time that a token without partner should have, at least.
const MIN_TOKEN_NS: u64 = 40_000_000;
/// The largest table of the edit distance. Longer texts, of an hour, are paired by their position.
const MAX_CELLS: usize = 16_000_000;

/// Gives `pieces`, in order, the times of `timed`, whose times must not fall. They then rise, from `start_ns` to `end_ns`
/// at most.
pub fn align(pieces: &mut [Piece], timed: &[DisplayToken], start_ns: u64, end_ns: u64) {
    let words = words(pieces);
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let others: Vec<&str> = timed.iter().map(|token| token.text.as_str()).collect();
    let mut last_ns = start_ns;
    let spans: Vec<Span> = timed
        .iter()
        .map(|token| {
            let start_ns = token.start_ns.clamp(last_ns, end_ns.max(last_ns));
            last_ns = token.end_ns.clamp(start_ns, end_ns.max(start_ns));
            Span { start_ns, end_ns: last_ns }
        })
        .collect();
    let partners = partners(&texts, &others).into_iter().map(|partner| partner.map(|at| spans[at])).collect();
    let spans = fill(partners, Span { start_ns, end_ns: end_ns.max(start_ns) });
    let mut previous_ns = start_ns;
    let mut next = 0;
    for (word, span) in words.iter().zip(spans) {
        // A piece that makes no text has no time of its own.
        pieces[next..word.first_piece].iter_mut().for_each(|piece| put(piece, previous_ns, previous_ns));
        let own = &mut pieces[word.first_piece..word.end_piece];
        let count = own.len();
        for (piece, part) in own.iter_mut().zip(shares(span, count)) {
            put(piece, part.start_ns, part.end_ns);
        }
        (next, previous_ns) = (word.end_piece, span.end_ns);
    }
    pieces[next..].iter_mut().for_each(|piece| put(piece, previous_ns, previous_ns));
}

fn put(piece: &mut Piece, start_ns: u64, end_ns: u64) {
    (piece.start_ns, piece.end_ns, piece.fire_ns) = (start_ns, end_ns, end_ns);
}

fn words(pieces: &[Piece]) -> Vec<Word> {
    let (mut detokenizer, mut words) = (Detokenizer::new(Spacing::None), Vec::new());
    for (number, piece) in pieces.iter().enumerate() {
        detokenizer.push(number, &piece.text, &mut words);
    }
    detokenizer.finish(&mut words);
    words
}

/// A span in equal parts.
fn shares(span: Span, count: usize) -> impl Iterator<Item = Span> {
    let (length_ns, parts) = (span.end_ns - span.start_ns, count.max(1) as u64);
    let edge =
        move |part: usize| span.start_ns + length_ns / parts * part as u64 + length_ns % parts * part as u64 / parts;
    (0..count).map(move |part| Span { start_ns: edge(part), end_ns: edge(part + 1) })
}

/// For each of `a` its partner in `b`: the pairs of an alignment with the fewest edits. A token stands in for another one
/// rather than beside it.
fn partners(a: &[&str], b: &[&str]) -> Vec<Option<usize>> {
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[same..], &b[same..]);
    let tail = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (middle_a, middle_b) = (&rest_a[..rest_a.len() - tail], &rest_b[..rest_b.len() - tail]);
    let mut found: Vec<Option<usize>> = (0..same).map(Some).collect();
    found.extend(middle(middle_a, middle_b).into_iter().map(|partner| partner.map(|at| at + same)));
    found.extend((b.len() - tail..b.len()).map(Some));
    found
}

fn middle(a: &[&str], b: &[&str]) -> Vec<Option<usize>> {
    let width = b.len() + 1;
    if (a.len() + 1).saturating_mul(width) > MAX_CELLS {
        return (0..a.len()).map(|at| (at < b.len()).then_some(at)).collect();
    }
    // The fewest edits from each place to the ends, so that the way can be read from the start.
    let mut edits = vec![0u32; (a.len() + 1) * width];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            edits[i * width + j] = match (i < a.len(), j < b.len()) {
                (false, _) => (b.len() - j) as u32,
                (_, false) => (a.len() - i) as u32,
                _ => {
                    let stay = edits[(i + 1) * width + j + 1] + u32::from(a[i] != b[j]);
                    stay.min(edits[(i + 1) * width + j] + 1).min(edits[i * width + j + 1] + 1)
                }
            };
        }
    }
    let (mut found, mut j) = (Vec::with_capacity(a.len()), 0);
    let mut i = 0;
    while i < a.len() {
        let here = edits[i * width + j];
        if j < b.len() && here == edits[(i + 1) * width + j + 1] + u32::from(a[i] != b[j]) {
            found.push(Some(j));
            (i, j) = (i + 1, j + 1);
        } else if here == edits[(i + 1) * width + j] + 1 {
            found.push(None);
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// Spans for those that have none, within `all`.
fn fill(partners: Vec<Option<Span>>, all: Span) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::with_capacity(partners.len());
    let mut at = 0;
    while at < partners.len() {
        if let Some(span) = partners[at] {
            spans.push(span);
            at += 1;
            continue;
        }
        let count = partners[at..].iter().take_while(|partner| partner.is_none()).count();
        let after = partners.get(at + count).copied().flatten();
        let mut gap = Span {
            start_ns: spans.last().map_or(all.start_ns, |span| span.end_ns),
            end_ns: after.map_or(all.end_ns, |span| span.start_ns),
        };
        gap.end_ns = gap.end_ns.max(gap.start_ns);
        let is_short = gap.end_ns - gap.start_ns < MIN_TOKEN_NS * count as u64;
        match spans.pop() {
            Some(before) if is_short => {
                spans.extend(shares(Span { start_ns: before.start_ns, ..gap }, count + 1));
                at += count;
            }
            None if is_short && after.is_some() => {
                let end_ns = after.map_or(gap.end_ns, |span| span.end_ns);
                spans.extend(shares(Span { end_ns, ..gap }, count + 1));
                at += count + 1;
            }
            before => {
                // What comes before the first word lies next to it; all else follows the word before.
                let most_ns = MAX_TOKEN_NS * count as u64;
                match before {
                    Some(before) => {
                        spans.push(before);
                        gap.end_ns = gap.end_ns.min(gap.start_ns + most_ns);
                    }
                    None if after.is_some() => gap.start_ns = gap.start_ns.max(gap.end_ns.saturating_sub(most_ns)),
                    None => {}
                }
                let cut = |span: Span| Span { end_ns: span.end_ns.min(span.start_ns + MAX_TOKEN_NS), ..span };
                spans.extend(shares(gap, count).map(cut));
                at += count;
            }
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn pieces(text: &str) -> Vec<Piece> {
        let piece = |text: &str| Piece { text: text.into(), start_ns: 0, end_ns: 0, fire_ns: 0, confidence: 1.0 };
        text.split_whitespace().map(piece).collect()
    }

    /// Tokens of 200 ms, one each 300 ms, from 100 ms on.
    fn timed(text: &str) -> Vec<DisplayToken> {
        let token = |(number, text): (u64, &str)| DisplayToken {
            text: text.into(),
            space_before: false,
            start_ns: (100 + 300 * number) * MS,
            end_ns: (300 + 300 * number) * MS,
            confidence: 1.0,
        };
        (0..).zip(text.split_whitespace()).map(token).collect()
    }

    /// The times of `text` in ms, in an utterance of 0 to 3 s.
    fn times(text: &str, other: &str) -> Vec<(u64, u64)> {
        let mut pieces = pieces(text);
        align(&mut pieces, &timed(other), 0, 3000 * MS);
        pieces.iter().map(|piece| (piece.start_ns / MS, piece.end_ns / MS)).collect()
    }

    #[test]
    fn a_token_has_the_time_of_its_partner() {
        assert_eq!(times("今 天 好", "今 天 好"), [(100, 300), (400, 600), (700, 900)]);
        // Another token in its place, and one too many in the first pass.
        assert_eq!(times("今 添 好", "今 天 好"), [(100, 300), (400, 600), (700, 900)]);
        assert_eq!(times("今 好", "今 天 好"), [(100, 300), (700, 900)]);
        assert_eq!(times("天 好", "今 天 好"), [(400, 600), (700, 900)]);
    }

    #[test]
    fn tokens_without_a_partner_share_the_gap() {
        assert_eq!(times("今 天 好", "今 好"), [(100, 300), (300, 400), (400, 600)]);
        assert_eq!(times("今 天 天 好", "今 好"), [(100, 300), (300, 350), (350, 400), (400, 600)]);
        // The gap of 100 ms is too short for three: they share with the token before.
        assert_eq!(times("今 一 二 三 好", "今 好")[..4], [(100, 175), (175, 250), (250, 325), (325, 400)]);
        // Before the first token, and after the last one, whose gap is longer than a token.
        assert_eq!(times("我 今", "今"), [(0, 100), (100, 300)]);
        assert_eq!(times("一 二 三 今", "今"), [(0, 75), (75, 150), (150, 225), (225, 300)]);
        assert_eq!(times("今 天", "今"), [(100, 300), (300, 900)]);
        assert_eq!(times("今 天", ""), [(0, 600), (1500, 2100)]);
    }

    #[test]
    fn pieces_share_the_time_of_their_word() {
        assert_eq!(times("今 he@@ llo 好", "今 hello 好"), [(100, 300), (400, 500), (500, 600), (700, 900)]);
        assert_eq!(times("he@@", "he"), [(100, 300)]);
    }

    #[test]
    fn what_lies_outside_the_utterance_is_moved_into_it() {
        let mut pieces = pieces("今 天 好");
        align(&mut pieces, &timed("今 天 好"), 200 * MS, 500 * MS);
        let found: Vec<_> = pieces.iter().map(|piece| (piece.start_ns / MS, piece.end_ns / MS)).collect();
        assert_eq!(found, [(200, 300), (400, 500), (500, 500)]);
        align(&mut pieces, &timed("天"), 500 * MS, 0);
        assert!(pieces.iter().all(|piece| (piece.start_ns, piece.end_ns) == (500 * MS, 500 * MS)));
    }

    #[test]
    fn the_fewest_edits_pair_the_most() {
        assert_eq!(partners(&["a", "b", "c"], &["x", "a", "b", "y", "c"]), [Some(1), Some(2), Some(4)]);
        assert_eq!(partners(&["a"], &[]), [None]);
        assert_eq!(partners(&[], &["a"]), []);
        let (long, other) = (vec!["a"; 4500], vec!["b"; 4000]);
        assert_eq!(partners(&long, &other).iter().flatten().count(), 4000);
    }
}
