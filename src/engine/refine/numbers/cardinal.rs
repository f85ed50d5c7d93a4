//! The reading of numbers: 三百五十, 一万零五, 二零二六 and how they are written.

use super::window::{LONGEST, Window};
use super::words;

/// What is sold or paid by one: after a round number and 一 it shows that 一 is no digit of the number.
const EACH: &str = "个位名人张条只次件天年月本杯间辆台双份支瓶箱袋包盒套节课桶吨斤克平米公小股夜晚";

/// What a run of number characters says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A quantity: 十五, 三百五, or one digit.
    Cardinal(u64),
    /// Two or more digits said one by one: 二零二六.
    Digits(String),
}

impl Value {
    /// In figures.
    pub fn written(&self) -> String {
        match self {
            Value::Cardinal(value) => written(*value),
            Value::Digits(digits) => digits.clone(),
        }
    }
}

/// A digit of a quantity.
pub(super) fn digit(c: char) -> Option<u64> {
    match c {
        '零' | '〇' => Some(0),
        '一' => Some(1),
        '二' | '两' => Some(2),
        '三' => Some(3),
        '四' => Some(4),
        '五' => Some(5),
        '六' => Some(6),
        '七' => Some(7),
        '八' => Some(8),
        '九' => Some(9),
        _ => None,
    }
}

/// A digit of a string of digits: 幺 is said for 1, and 两 is not said.
pub(super) fn spelt(c: char) -> Option<u64> {
    match c {
        '幺' => Some(1),
        '两' => None,
        _ => digit(c),
    }
}

fn small_unit(c: char) -> Option<u64> {
    match c {
        '十' => Some(10),
        '百' => Some(100),
        '千' => Some(1000),
        _ => None,
    }
}

/// Whether a number goes on or begins with token `k`. 两 alone is also a weight, so inside it needs its unit.
pub(super) fn is_numeric(window: &Window, k: usize) -> bool {
    match window.at(k) {
        '两' => window.is_in(k + 1, "百千万亿"),
        '十' | '百' | '千' | '万' | '亿' => true,
        c => spelt(c).is_some(),
    }
}

/// The number characters from token `k` on. A word that begins with a digit ends them, where a number need not go on:
/// 五一一起去 is 五一 and 一起.
pub(super) fn run(window: &Window, k: usize) -> Vec<char> {
    let mut run = Vec::new();
    if window.at(k) == '两' {
        run.push('两');
    }
    while k + run.len() < LONGEST && is_numeric(window, k + run.len()) {
        let end = k + run.len();
        let goes_on = run.last().is_none_or(|last| "十零〇".contains(*last));
        // 三千一个月, 五万一平米: 一 is "each".
        let each = window.at(end) == '一' && run.last().is_some_and(|last| "百千万亿".contains(*last));
        if !goes_on && words::ends_a_number(window, end) || each && window.is_in(end + 1, EACH) {
            break;
        }
        run.push(window.at(end));
    }
    // 千克, 千米: their 千 is the number's only where it fits (三千米; 三千克 is 3千克, which is the same).
    let unit = run.last() == Some(&'千') && window.is_in(k + run.len(), "克米瓦赫卡伏帕");
    if unit && (value(&run).is_none() || run.len() == 2 && window.is_in(k + 2, "克瓦")) {
        run.pop();
    }
    run
}

/// What a run says, if it is one number: 三四百 and 十五六 are none.
pub(super) fn value(run: &[char]) -> Option<Value> {
    match run {
        [] | ['幺'] => None,
        [c] if digit(*c).is_some() => digit(*c).map(Value::Cardinal),
        _ => {
            let digits: Option<String> =
                run.iter().map(|&c| spelt(c).and_then(|d| char::from_digit(d as u32, 10))).collect();
            digits.map(Value::Digits).or_else(|| cardinal(run).map(Value::Cardinal))
        }
    }
}

/// The quantity that `run` says in full: sections of four digits, parted by 万 and 亿. Each unit is lower than the one
/// before; a last digit without its unit counts in the next lower one (三百五, 一万二), unless 零 comes before it.
pub(super) fn cardinal(run: &[char]) -> Option<u64> {
    let (mut above, mut ten_thousands, mut section) = (None, None, 0);
    // The unit said last, and whether 零 was said after it.
    let (mut unit, mut zero) = (None, false);
    let mut at = 0;
    while let Some(&c) = run.get(at) {
        let limit = unit.map_or(u64::MAX, |unit: u64| if unit > 1000 { 10_000 } else { unit });
        let next = run.get(at + 1).copied();
        at += 1;
        match (c, next.and_then(small_unit)) {
            ('零' | '〇', _) => {
                if zero || unit.is_none() || next.and_then(digit).is_none_or(|d| d == 0) && next != Some('十') {
                    return None;
                }
                zero = true;
            }
            ('万', _) => {
                if section == 0 || ten_thousands.is_some() {
                    return None;
                }
                ten_thousands = Some(section);
                (section, unit, zero) = (0, Some(10_000), false);
            }
            ('亿', _) => {
                let count = ten_thousands.take().unwrap_or(0) * 10_000 + section;
                if count == 0 || above.is_some() {
                    return None;
                }
                above = Some(count);
                (section, unit, zero) = (0, Some(100_000_000), false);
            }
            ('十', _) if limit > 10 => {
                section += 10;
                (unit, zero) = (Some(10), false);
            }
            (c, Some(size)) if size < limit => {
                if c == '两' && size == 10 {
                    return None;
                }
                section += digit(c)? * size;
                (unit, zero) = (Some(size), false);
                at += 1;
            }
            (c, None) => {
                let last = digit(c)?;
                match next {
                    // The last digit of a section.
                    Some('万' | '亿') if zero || section == 0 || unit == Some(10) => section += last,
                    None if zero || unit.is_none_or(|unit| unit == 10) => section += last,
                    // The digit whose unit is left out.
                    None if c != '两' => return Some(sum(above, ten_thousands, section) + last * (unit? / 10)),
                    _ => return None,
                }
                (unit, zero) = (Some(1), false);
            }
            _ => return None,
        }
    }
    Some(sum(above, ten_thousands, section))
}

fn sum(above: Option<u64>, ten_thousands: Option<u64>, section: u64) -> u64 {
    above.unwrap_or(0) * 100_000_000 + ten_thousands.unwrap_or(0) * 10_000 + section
}

/// A quantity in figures. Whole multiples of 万 keep 万 and 亿, as newspapers write them (GB/T 15835): 350万, 3亿5000万;
/// all else is figures alone: 12000.
pub(super) fn written(value: u64) -> String {
    const WAN: u64 = 10_000;
    const YI: u64 = 100_000_000;
    match value {
        0..WAN => value.to_string(),
        _ if !value.is_multiple_of(WAN) => value.to_string(),
        _ if value < YI => format!("{}万", value / WAN),
        _ if value.is_multiple_of(YI) => format!("{}亿", written(value / YI)),
        _ => format!("{}亿{}万", written(value / YI), value % YI / WAN),
    }
}
