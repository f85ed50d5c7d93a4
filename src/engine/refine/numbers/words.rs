//! Words that hold number characters and stay as they are.
//!
//! A digit that stands alone stays anyway ([`super::grammar`]), so most idioms (三心二意, 四舍五入) need no entry. Here is
//! what would read as a number, or where a word's first digit would be taken for the last one of a number before it.

use super::window::Window;

/// A word, and the characters after it that show it is none: 十分 is no word in 十分钟.
type Entry = (&'static str, &'static str);

/// Words that begin with 一, which would end a number before them.
const ONES: &[Entry] = &[
    ("一个", "百"),
    ("一起", ""),
    ("一下", ""),
    ("一些", ""),
    ("一样", ""),
    ("一定", ""),
    ("一直", ""),
    ("一般", ""),
    ("一共", ""),
    ("一边", ""),
    ("一旦", ""),
    ("一切", ""),
    ("一方", ""),
    ("一会", ""),
    ("一刻", ""),
    ("一种", ""),
    ("一位", ""),
    ("一次", ""),
    ("一致", ""),
    ("一律", ""),
    ("一同", ""),
    ("一向", ""),
    ("一再", ""),
    ("一度", ""),
    ("一生", ""),
    ("一家", ""),
    ("一体", ""),
    ("一路", ""),
    ("一点一点", ""),
    ("一点一滴", ""),
    ("一点点", ""),
];

/// Words of several digits, or with ten and more.
const NUMBERS: &[Entry] = &[
    ("二百五", "十"),
    ("二一添作五", ""),
    ("二二得四", ""),
    ("三七二十一", ""),
    ("三三两两", ""),
    ("三六九等", ""),
    ("三十六计", ""),
    ("三十六策", ""),
    ("三十而立", ""),
    ("三百六十行", ""),
    ("三月三", "十日号"),
    ("三点一线", ""),
    ("二月二", "十日号"),
    ("两点一线", ""),
    ("四十不惑", ""),
    ("五十步笑百步", ""),
    ("五四三二一", ""),
    ("七七八八", ""),
    ("七十二变", ""),
    ("七七事变", ""),
    ("八九不离十", ""),
    ("九一八", "零一二三四五六七八九幺"),
    ("九九八十一", ""),
    ("九牛一毛", ""),
    ("一二九运动", ""),
    ("一五一十", ""),
    ("一二三木头人", ""),
    ("一元二次", ""),
    ("二元一次", ""),
    ("一二八事变", ""),
    ("一百二十分", ""),
    ("一千零一夜", ""),
    ("一落千丈", ""),
    ("一刻千金", ""),
    ("十分", "钟之"),
    ("十足", ""),
    ("十字", ""),
    ("十大", ""),
    ("十佳", ""),
    ("十之八九", ""),
    ("十有八九", ""),
    ("十全十美", ""),
    ("十全", ""),
    ("十里", "路"),
    ("十拿九稳", ""),
    ("十恶不赦", ""),
    ("十指", ""),
    ("十面埋伏", ""),
    ("十年寒窗", ""),
    ("十年树木", ""),
    ("十年如一日", ""),
    ("十八般", ""),
    ("十万火急", ""),
    ("十万八千里", ""),
    ("十万个为什么", ""),
    ("十三陵", ""),
    ("十三点", "零一二三四五六七八九十半钟整"),
    ("十三香", ""),
    ("十二分", "钟之"),
    ("十月怀胎", ""),
    ("十一长假", ""),
    ("十一假期", ""),
    ("十一黄金周", ""),
    ("十一国庆", ""),
    ("十五的月亮", ""),
    ("十一放假", ""),
    ("十一期间", ""),
    ("十一小长假", ""),
    ("十一出游", ""),
    ("十六大", "学小批型"),
    ("十七大", "学小批型"),
    ("十八大", "学小批型"),
    ("十九大", "学小批型"),
    ("二十大", "学小批型"),
    ("两个一百年", ""),
    ("两万五千里", ""),
    ("双十一", ""),
    ("双十二", ""),
    ("国庆十一", ""),
    ("大年三十", ""),
    ("七零八落", ""),
    ("七零八碎", ""),
    ("五光十色", ""),
    ("五风十雨", ""),
    ("十年磨一剑", ""),
    ("十八相送", ""),
    ("十八层地狱", ""),
    ("十八弯", ""),
    ("十进制", ""),
    ("十六进制", ""),
    ("一目十行", ""),
    ("一传十", ""),
    ("十传百", ""),
    ("闻一知十", ""),
    ("一当十", ""),
    ("弱水三千", ""),
    ("三千弱水", ""),
    ("三十年河东", ""),
    ("十月革命", ""),
    ("三百六十五行", ""),
    ("正月十五", ""),
    ("八月十五", "日号"),
    ("百年", ""),
    ("百里挑一", ""),
    ("千万", ""),
    ("千一", ""),
    ("万一", ""),
    ("万万", ""),
    ("百十", ""),
    ("万千", ""),
    ("亿万", ""),
];

/// What stands before the digit of a weekday, or of the first days of a lunar month, and those digits.
const DAYS: &[Entry] = &[
    ("周", "一二三四五六"),
    ("星期", "一二三四五六"),
    ("礼拜", "一二三四五六"),
    ("大年初", "一二三四五六七八九十"),
    ("初", "一二三四五六七八九十"),
];

/// The tokens of the longest such word that begins with token `k`; 0 where none does.
pub(super) fn length(window: &Window, k: usize) -> usize {
    let first = window.at(k);
    let begins = |text: &str| text.starts_with(first);
    let words = ONES.iter().chain(NUMBERS).filter_map(|entry| found(window, k, entry));
    let days = DAYS.iter().filter(|(prefix, _)| begins(prefix)).filter_map(|(prefix, digits)| {
        let length = prefix.chars().count();
        let found = window.has(k, prefix) && window.is_in(k + length, digits);
        (found && !window.is_in(k + length + 1, "百千万亿")).then_some(length + 1)
    });
    words.chain(days).max().unwrap_or(0)
}

/// Whether token `k` begins a word that ends a number before it, where the number may end.
pub(super) fn ends_a_number(window: &Window, k: usize) -> bool {
    window.at(k) == '一' && ONES.iter().any(|entry| found(window, k, entry).is_some())
}

fn found(window: &Window, k: usize, (word, not_before): &Entry) -> Option<usize> {
    let length = word.chars().count();
    (window.has(k, word) && (not_before.is_empty() || !window.is_in(k + length, not_before))).then_some(length)
}
