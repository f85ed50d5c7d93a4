//! Which numbers become figures, decided from left to right.
//!
//! The policy is that of GB/T 15835-2011 (figures in text) and, where it leaves a choice, of what users of FunASR get from
//! WeTextProcessing with its single digits left alone:
//!
//! - Ten and more, decimals, fractions, percentages, signed numbers and digits said one by one become figures.
//! - A single digit stays Chinese (三个人, 两次, 第一), except in dates, times of day, scores, prices, before a unit of
//!   measurement, and in a range whose other end becomes figures.
//! - A number that is not exact stays (三四百, 十几, 几十万, 十来个), and so does what is not one number (十五六).
//! - Words that are written in Chinese in any style stay words: 3点20分, 3比2, 5到10, 12块5, 2026年11月22日.

use super::cardinal::{Value, is_numeric, run, spelt, value};
use super::window::{LONGEST, NUMERALS, Window};
use super::{clock, english, units, words};

/// What happens to the tokens from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many tokens stay.
    Copy(usize),
    /// So many tokens become this text.
    Number(usize, String),
}

use Piece::{Copy, Number};

/// A number that has been read: the token after it, and its text.
pub(super) struct Quantity {
    pub end: usize,
    pub text: String,
}

/// Decides about the tokens at the beginning of the window, at least one of them, at most [`LONGEST`].
pub(super) fn decide(window: &Window) -> Vec<Piece> {
    if window.left.in_long_run && NUMERALS.contains(window.at(0)) {
        return vec![Copy(1)];
    }
    let stays = words::length(window, 0);
    if stays > 0 {
        return vec![Copy(stays)];
    }
    let found = english::digits(window).or_else(|| signed(window)).or_else(|| percentage(window, 0, ""));
    if let Some(Quantity { end, text }) = found {
        return vec![Number(end, text)];
    }
    if window.is_in(0, "百千") && window.has(1, "分之") {
        return vec![Copy(3 + run(window, 3).len())];
    }
    if window.at(0) == '两' || is_numeric(window, 0) { number(window) } else { vec![Copy(1)] }
}

/// 负二, 负百分之十三, 正负五.
fn signed(window: &Window) -> Option<Quantity> {
    let (length, sign) = match window.at(0) {
        '负' if !window.left.is_in("背肩胜担抱辜欠自身") => (1, "-"),
        '正' if window.at(1) == '负' => (2, "±"),
        _ => return None,
    };
    if words::length(window, length) > 0 {
        return None;
    }
    percentage(window, length, sign).or_else(|| {
        let Quantity { end, text } = quantity(window, length)?;
        Some(Quantity { end, text: format!("{sign}{text}") })
    })
}

/// 百分之三点五, 百分百, 千分之三.
fn percentage(window: &Window, k: usize, sign: &str) -> Option<Quantity> {
    let unit = match window.at(k) {
        '百' => '%',
        '千' => '‰',
        _ => return None,
    };
    if unit == '%' && window.has(k, "百分百") {
        return Some(Quantity { end: k + 3, text: format!("{sign}100%") });
    }
    if !window.has(k + 1, "分之") {
        return None;
    }
    if unit == '%' && run(window, k + 3) == ['百'] {
        return Some(Quantity { end: k + 4, text: format!("{sign}100%") });
    }
    let (k, sign) = if window.at(k + 3) == '负' { (k + 4, "-") } else { (k + 3, sign) };
    let Quantity { end, text } = quantity(window, k)?;
    Some(Quantity { end, text: format!("{sign}{text}{unit}") })
}

/// A whole number or decimal from token `k` on that is exact and complete.
pub(super) fn quantity(window: &Window, k: usize) -> Option<Quantity> {
    let run = run(window, k);
    let whole = value(&run)?;
    let end = k + run.len();
    let found = match (decimal(window, end, &whole), &whole) {
        (Some(found), _) => found,
        // 百分之三四.
        (None, Value::Digits(_)) => return None,
        (None, Value::Cardinal(_)) => Quantity { end, text: whole.written() },
    };
    let goes_on = is_numeric(window, found.end) || window.at(found.end) == '几' || window.has(found.end, "点几");
    (!goes_on && found.end < LONGEST).then_some(found)
}

/// The decimal whose 点 is at `point`, after the number `whole`: 三点五, 六点四二万, 一二七点零点零点一.
pub(super) fn decimal(window: &Window, point: usize, whole: &Value) -> Option<Quantity> {
    let mut end = point;
    let mut text = match whole {
        Value::Cardinal(value) => value.to_string(),
        Value::Digits(digits) => digits.clone(),
    };
    while window.at(end) == '点' && !words::ends_a_number(window, end + 1) {
        let run = run(window, end + 1);
        let digits = run.iter().take_while(|c| spelt(**c).is_some()).count();
        let unit: String = run[digits..].iter().collect();
        if digits == 0 || !matches!(unit.as_str(), "" | "万" | "亿" | "百万" | "千万" | "百亿" | "千亿" | "万亿")
        {
            break;
        }
        // 三点四点: the hours 3 and 4.
        if unit.is_empty() && window.at(end + 1 + digits) == '点' && !is_numeric(window, end + 2 + digits) {
            return None;
        }
        text.push('.');
        text.extend(run[..digits].iter().filter_map(|c| spelt(*c)).map(|d| d.to_string()));
        text.push_str(&unit);
        end += 1 + run.len();
        if !unit.is_empty() {
            break;
        }
    }
    (point < end && end < LONGEST).then_some(Quantity { end, text })
}

/// What begins with a number character.
fn number(window: &Window) -> Vec<Piece> {
    let run = run(window, 0);
    let end = run.len();
    let stays = || vec![Copy(end.max(1))];
    let Some(value) = value(&run) else { return stays() };
    let inexact_before = window.left.is_in("几数") && run[0] == '十';
    let round = run.last().is_some_and(|c| "十百千万亿".contains(*c));
    let inexact_after =
        window.at(end) == '几' || window.at(end) == '来' && round && !window.is_in(end + 1, "自到看源临");
    if end >= LONGEST || is_lunar(window) || inexact_before || inexact_after {
        return stays();
    }
    if let Some(Quantity { end, text }) = fraction(window, end, &value) {
        return vec![Number(end, text)];
    }
    if window.at(end) == '点' {
        return clock::hour_or_decimal(window, end, &value);
    }
    let becomes = match &value {
        Value::Digits(digits) => digits_are_a_number(window, &run, digits),
        Value::Cardinal(0..10) if end == 1 => digit_becomes_figure(window, run[0]),
        Value::Cardinal(_) => true,
    };
    if !becomes {
        return stays();
    }
    let text = value.written();
    if window.left.percent && after_a_number(window, "到至") && is_boundary(window, end) {
        return vec![Number(end, text + "%")];
    }
    let mut pieces = vec![Number(end, text)];
    pieces.extend(units::tail(window, end));
    pieces
}

/// Whether a day or month of the lunar calendar comes, which is written in Chinese (GB/T 15835-2011, 4.2.1).
fn is_lunar(window: &Window) -> bool {
    let left = window.left;
    let day = left.ends_with("月") && left.said_at(2) == '历';
    day || ["农历", "阴历", "正月", "腊月"].iter().any(|text| left.ends_with(text))
}

/// 三分之二: the denominator ends before `end`.
fn fraction(window: &Window, end: usize, denominator: &Value) -> Option<Quantity> {
    let (Value::Cardinal(denominator), true) = (denominator, window.has(end, "分之")) else { return None };
    let run = run(window, end + 2);
    let Value::Cardinal(numerator) = value(&run)? else { return None };
    let end = end + 2 + run.len();
    let exact = *denominator > 1 && end < LONGEST && !is_numeric(window, end) && window.at(end) != '几';
    exact.then(|| Quantity { end, text: format!("{numerator}/{denominator}") })
}

/// Whether digits said one by one are a number. Two alone are more often a guess (三五个, 七八年) or a name (五一, 六一).
fn digits_are_a_number(window: &Window, run: &[char], digits: &str) -> bool {
    if window.left.is_in("第") {
        return false;
    }
    let end = run.len();
    let digits = digits.as_bytes();
    let ascending = digits.windows(2).all(|pair| pair[1] == pair[0] + 1);
    match digits {
        [first, second] => {
            let year = window.at(end) == '年' || window.is_in(end, "级届") && b"0129".contains(first);
            let year = year && !ascending && digits != b"35";
            let born = window.at(end) == '后' && *second == b'5' && *first != b'4' && *first != b'3';
            run.iter().any(|c| "零〇幺".contains(*c)) || year || born
        }
        // 三四五个: a guess, or a list.
        _ => end > 3 || !ascending || !window.is_in(end, units::COUNTED),
    }
}

/// Whether a single digit stands where digits are written in figures.
fn digit_becomes_figure(window: &Window, c: char) -> bool {
    let two = c == '两';
    match window.at(1) {
        '升' if c == '一' => false,
        '下' if c == '零' => false,
        '度' if window.left.ends_with("零下") => true,
        '号' | '月' if !two && c != '零' => true,
        '日' if !two && after_a_number(window, "月") => true,
        '角' | '毛' | '分' if after_a_number(window, "元块角毛") => true,
        _ if after_a_number(window, "毛角") && is_boundary(window, 1) => true,
        '秒' if after_a_number(window, "分") => true,
        '到' | '至' | '比' | '加' | '减' | '乘' => other_end_becomes_figures(window, c),
        '又' => {
            value(&run(window, 2)).is_some_and(|value| fraction(window, 2 + run(window, 2).len(), &value).is_some())
        }
        _ if after_a_number(window, "到至比加减乘") && !window.is_in(1, units::COUNTED) => true,
        _ => units::measured(window, 1) || !units::tail(window, 1).is_empty(),
    }
}

/// 三到十五, 五到十, 三比二: the first end of a range or score.
fn other_end_becomes_figures(window: &Window, c: char) -> bool {
    if words::length(window, 2) > 0 {
        return false;
    }
    let other = run(window, 2);
    let Some(value) = value(&other) else { return false };
    let end = 2 + other.len();
    if is_numeric(window, end) || window.at(end) == '几' {
        return false;
    }
    match value {
        Value::Digits(_) => false,
        // 一到十一点就困: 一到 is "as soon as".
        _ if c == '一' && window.is_in(1, "到至") && window.is_in(end, "点月号日") => false,
        Value::Cardinal(0..10) if other.len() == 1 => match window.at(1) {
            '比' => !window.is_in(end, units::COUNTED),
            _ => window.is_in(end, "月号") && other != ['两'] || units::measured(window, end),
        },
        Value::Cardinal(_) => true,
    }
}

/// Whether the token before is one of `set`, and a number that became figures ends right before it.
pub(super) fn after_a_number(window: &Window, set: &str) -> bool {
    window.left.number_ago == Some(1) && window.left.is_in(set)
}

/// Whether nothing that is counted or measured follows: the utterance or a clause ends, or a particle comes.
pub(super) fn is_boundary(window: &Window, k: usize) -> bool {
    let c = window.at(k);
    !c.is_alphanumeric() || "的了吧呢吗啊左之以是".contains(c)
}
