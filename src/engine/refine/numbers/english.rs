//! English digits said one by one: one three eight, three point one four.

use super::grammar::Quantity;
use super::window::Window;

/// The fewest digits in a row that are plainly a number: "one two" is also said of other things.
const FEWEST: usize = 3;

/// The number of at least [`FEWEST`] digits, or with a point, that begins here.
pub(super) fn digits(window: &Window) -> Option<Quantity> {
    let mut text = String::new();
    let (mut end, mut has_point) = (0, false);
    loop {
        match digit(window, end) {
            Some('o') if text.is_empty() => return None,
            Some('o') => text.push('0'),
            Some(digit) => text.push(digit),
            None if is_point(window, end) && !text.is_empty() && !has_point && digit(window, end + 1).is_some() => {
                has_point = true;
                text.push('.');
            }
            None => break,
        }
        end += 1;
    }
    (end >= FEWEST).then_some(Quantity { end, text })
}

fn is_point(window: &Window, k: usize) -> bool {
    window.token(k).is_some_and(|token| token.text.eq_ignore_ascii_case("point"))
}

/// The digit that token `k` says; "oh" and "o" as `o`, which are 0 among digits alone.
fn digit(window: &Window, k: usize) -> Option<char> {
    const WORDS: [(&str, char); 12] = [
        ("zero", '0'),
        ("one", '1'),
        ("two", '2'),
        ("three", '3'),
        ("four", '4'),
        ("five", '5'),
        ("six", '6'),
        ("seven", '7'),
        ("eight", '8'),
        ("nine", '9'),
        ("oh", 'o'),
        ("o", 'o'),
    ];
    let text = &window.token(k)?.text;
    WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, digit)| *digit)
}
