//! Units of measurement and of money, and what is counted.

use super::cardinal::{Value, is_numeric, run, value};
use super::grammar::{Piece, is_boundary};
use super::window::{LONGEST, Window};
use super::words;

/// Measure words of what is counted: after one of these a digit is a count of things, and stays Chinese.
pub(super) const COUNTED: &str = "个位名人张条只次件天年本块杯口间辆家种岁层楼台部双份支枝根颗粒头匹座栋套门节课句字\
    篇首步遍趟场回片盘碗瓶箱袋包盒组队班级页章季集月线等样点";

/// Units before which a single digit is written in figures (GB/T 15835-2011, 4.1.1).
const MEASURES: &[&str] = &[
    "公里",
    "千米",
    "厘米",
    "毫米",
    "微米",
    "纳米",
    "平方",
    "立方",
    "公斤",
    "千克",
    "毫克",
    "毫升",
    "公顷",
    "英里",
    "英寸",
    "英尺",
    "海里",
    "摄氏度",
    "华氏度",
    "千瓦",
    "兆瓦",
    "伏特",
    "赫兹",
    "兆赫",
    "毫秒",
    "美元",
    "美金",
    "欧元",
    "日元",
    "英镑",
    "港元",
    "港币",
    "卢布",
    "韩元",
    "元",
    "米",
    "吨",
    "克",
    "升",
    "块钱",
];

/// Units in ASCII before which a single digit is written in figures: 5g, 3d, 4k.
const ASCII: &[&str] = &[
    "g", "k", "d", "v", "w", "gb", "mb", "tb", "kb", "kg", "mg", "km", "cm", "mm", "nm", "ml", "hz", "khz", "mhz",
    "ghz", "kw", "kwh",
];

/// Units that the next lower one may follow without its name: 12块5, 1米75, 38度5, 9秒58.
const PARTED: &str = "块元毛角米度斤秒";

/// Whether a unit of measurement stands at token `k`.
pub(super) fn measured(window: &Window, k: usize) -> bool {
    MEASURES.iter().any(|unit| window.has(k, unit)) && !window.has(k, "元旦") && !window.has(k, "米饭")
        || ascii(window, k)
}

fn ascii(window: &Window, k: usize) -> bool {
    let text = window.token(k).map_or("", |token| token.text.as_str());
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && ASCII.iter().any(|unit| unit.eq_ignore_ascii_case(text))
}

/// What follows a number that ends before token `end` and belongs to it: 块五 in 十二块五, 分三十秒 in 五分三十秒.
pub(super) fn tail(window: &Window, end: usize) -> Vec<Piece> {
    let link = match window.at(end) {
        '分' => 1,
        '小' if window.at(end + 1) == '时' => 2,
        c if PARTED.contains(c) => 1,
        _ => return Vec::new(),
    };
    if words::length(window, end + link) > 0 {
        return Vec::new();
    }
    let run = run(window, end + link);
    let after = end + link + run.len();
    let Some(value) = value(&run) else { return Vec::new() };
    if after >= LONGEST || is_numeric(window, after) || window.is_in(after, "几点") {
        return Vec::new();
    }
    // 十块零五毛.
    if run.len() == 2 && run[0] == '零' && window.is_in(end, "块元") {
        let text = value.written()[1..].to_string();
        return vec![Piece::Copy(link + 1), Piece::Number(1, text)];
    }
    let text = match &value {
        Value::Digits(digits) if digits.len() == 2 => digits.clone(),
        Value::Cardinal(value) if *value < 100 => value.to_string(),
        _ => return Vec::new(),
    };
    let belongs = match window.at(end) {
        '分' => window.at(after) == '秒',
        '小' => window.at(after) == '分',
        _ if run.len() > 1 => !window.is_in(after, COUNTED),
        '斤' if window.at(after) == '两' => true,
        // 一块五花肉.
        _ => is_boundary(window, after) || window.is_in(after, "毛角钱高长宽深多起买卖"),
    };
    if belongs { vec![Piece::Copy(link), Piece::Number(run.len(), text)] } else { Vec::new() }
}
