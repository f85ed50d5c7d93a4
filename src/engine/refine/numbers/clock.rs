//! 点: a time of day, the point of a decimal, or "a bit" (一点) and "two points" (两点).

use super::cardinal::{Value, is_numeric, run, value};
use super::grammar::{Piece, after_a_number, decimal};
use super::window::Window;
use Piece::{Copy, Number};

/// What, before a digit and 点, says that it is a time of day.
const BEFORE: &[&str] = &[
    "早上", "早晨", "上午", "中午", "下午", "晚上", "凌晨", "傍晚", "半夜", "夜里", "深夜", "清晨", "今早", "今晚",
    "明早", "明晚", "昨晚", "当晚", "今天", "明天", "昨天", "后天", "前天", "当天", "每天", "周一", "周二", "周三",
    "周四", "周五", "周六", "周日", "周末", "期一", "期二", "期三", "期四", "期五", "期六", "期日", "期天", "时间",
    "现在", "等到", "直到",
];

/// What, after 点, says that a digit before it is a time of day.
const AFTER: &[&str] = &[
    "左右", "之前", "以前", "之后", "以后", "开始", "开会", "出发", "起床", "睡觉", "上班", "下班", "上课", "下课",
    "见", "集合", "多", "整", "前", "后", "过",
];

/// What, after 一点, says that it is "a bit", also in the evening.
const A_BIT: &str = "都也儿不没点的事东意声用钱忙小问办";

/// Decides about the number that ends before `point`, where 点 stands.
pub(super) fn hour_or_decimal(window: &Window, point: usize, whole: &Value) -> Vec<Piece> {
    let Value::Cardinal(hour) = *whole else { return spelt_out(window, point, whole) };
    let said = said_before(window) && !(hour == 1 && window.is_in(point + 1, A_BIT));
    if hour <= 24 {
        if let Some(minutes) = minutes(window, point, hour, said) {
            return [vec![Number(point, hour.to_string())], minutes].concat();
        }
        let exact = ["半", "钟", "整", "一刻", "三刻"].iter().any(|text| window.has(point + 1, text));
        if exact && !window.has(point + 1, "半点") {
            return vec![Number(point, hour.to_string()), Copy(1)];
        }
        if said && !is_decimal_after_all(window, point) {
            return vec![Number(point, hour.to_string()), Copy(1)];
        }
    }
    if let Some(found) = decimal(window, point, whole).filter(|found| hour != 1 || !is_a_bit(window, found.end)) {
        return vec![Number(found.end, found.text)];
    }
    let follows = hour > 1 && !window.left.is_in("这那第") && AFTER.iter().any(|text| window.has(point + 1, text));
    let becomes = hour >= 10 || hour <= 24 && (follows || to_another_hour(window, point));
    vec![if becomes { Number(point, whole.written()) } else { Copy(point) }, Copy(1)]
}

/// Whether 一点 and what is counted after it are no decimal: 快一点三个人.
fn is_a_bit(window: &Window, end: usize) -> bool {
    window.left.is_in("有差快慢早晚多少大小高低好近远轻重")
        && window.is_in(end, super::units::COUNTED)
        && !window.has(end, "个百分")
}

/// After digits said one by one 点 is a decimal's: 一九二点一六八点零点一.
fn spelt_out(window: &Window, point: usize, whole: &Value) -> Vec<Piece> {
    match decimal(window, point, whole) {
        Some(found) => vec![Number(found.end, found.text)],
        None if point > 2 => vec![Number(point, whole.written())],
        None => vec![Copy(point)],
    }
}

/// Whether what is before says that a time of day comes.
fn said_before(window: &Window) -> bool {
    let until = window.left.is_in("到至")
        && ["点到", "点至", "半到", "半至", "钟到", "分到"].iter().any(|text| window.left.ends_with(text));
    until && window.left.number_ago.is_some()
        || after_a_number(window, "号日")
        || BEFORE.iter().any(|text| window.left.ends_with(text))
}

/// After 今天, 三点五亿 is a decimal, and so is what has a percentage point or two decimals after it.
fn is_decimal_after_all(window: &Window, point: usize) -> bool {
    let fraction = run(window, point + 1);
    let after = point + 1 + fraction.len();
    match value(&fraction) {
        Some(Value::Digits(digits)) => !digits.starts_with('0'),
        Some(Value::Cardinal(0..10)) if fraction.len() == 1 => {
            super::units::measured(window, after) || window.has(after, "个百分") || window.at(after) == '倍'
        }
        _ => fraction.ends_with(&['万']) || fraction.ends_with(&['亿']),
    }
}

/// The minutes and seconds after the 点 at `point`, with all between: 点二十分, 点零五分三十秒.
fn minutes(window: &Window, point: usize, hour: u64, said: bool) -> Option<Vec<Piece>> {
    let run = run(window, point + 1);
    let end = point + 1 + run.len();
    if is_numeric(window, end) || window.at(end) == '几' || window.at(end) == '点' {
        return None;
    }
    let named = window.at(end) == '分' && window.at(end + 1) != '之' && window.at(end + 1) != '钟';
    let text = match value(&run)? {
        // 这三点十分重要.
        Value::Cardinal(10)
            if run.len() == 1 && named && (1..10).contains(&hour) && !said && !ends_a_time(window, end + 1) =>
        {
            return None;
        }
        Value::Cardinal(minutes @ 10..60) if run.len() > 1 || named || said => minutes.to_string(),
        Value::Cardinal(minutes @ 1..10) if run.len() == 1 && named && (said || ends_a_time(window, end + 1)) => {
            minutes.to_string()
        }
        Value::Digits(digits) if digits.len() == 2 && digits.starts_with('0') && (named || said) => digits,
        _ => return None,
    };
    let mut pieces = vec![Copy(1), Number(run.len(), text)];
    if named {
        pieces.extend(super::units::tail(window, end));
    }
    Some(pieces)
}

/// Whether after the minutes at `k` there is what may follow a time of day.
fn ends_a_time(window: &Window, k: usize) -> bool {
    is_numeric(window, k) || window.is_in(k, "前后到至左之以开出起准")
}

/// 三点到五点.
fn to_another_hour(window: &Window, point: usize) -> bool {
    let other = run(window, point + 2);
    window.is_in(point + 1, "到至")
        && matches!(value(&other), Some(Value::Cardinal(0..=24)))
        && window.at(point + 2 + other.len()) == '点'
}
