//! What holds for any tokens, and for every number.

use super::super::super::hypothesis::{DisplayToken, joined};
use super::cases::tokens;
use super::{Incremental, Left, MAX_HELD, Window, Writer, grammar, normalise};

/// xorshift64*: the same utterances on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const NUMERALS: [&str; 19] =
    ["零", "〇", "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "百", "千", "万", "亿", "两", "幺", "点"];
const AROUND: [&str; 60] = [
    "分", "之", "第", "年", "月", "日", "号", "半", "钟", "整", "刻", "秒", "负", "正", "几", "数", "来", "多", "到",
    "至", "比", "又", "块", "元", "毛", "角", "米", "度", "斤", "千", "克", "个", "人", "起", "样", "定", "天", "今",
    "上", "午", "小", "时", "周", "初", "双", "后", "级", "，", "。", "……", "one", "two", "oh", "point", "4", "g",
    "km", "iphone", "'s", "",
];

/// Up to `most` tokens, mostly of numbers, with uneven times and confidences.
fn utterance(random: &mut Random, most: usize) -> Vec<DisplayToken> {
    let (length, numerals) = (random.below(most), 1 + random.below(10));
    let mut now = random.next() % 1_000;
    (0..length)
        .map(|_| {
            let text = if random.below(10) < numerals { random.pick(&NUMERALS) } else { random.pick(&AROUND) };
            let start_ns = now + random.next() % 100;
            let end_ns = start_ns + random.next() % 300;
            now = end_ns;
            let confidence = random.below(100) as f32 / 100.0;
            DisplayToken { text: text.into(), space_before: random.below(4) == 0, start_ns, end_ns, confidence }
        })
        .collect()
}

fn incremental(said: &[DisplayToken]) -> Vec<DisplayToken> {
    let (mut writer, mut out) = (Incremental::default(), Vec::new());
    for token in said {
        writer.push(token.clone(), &mut out);
        assert!(writer.held.len() < MAX_HELD);
    }
    writer.finish(&mut out);
    assert_eq!(writer.held_start_ns(), None);
    out
}

/// How many words each token stands for: 1 where it stayed. Fails where anything was lost, reordered or has other times.
fn spans(said: &[DisplayToken], written: &[DisplayToken]) -> Vec<usize> {
    let mut rest = said;
    let mut spans = Vec::new();
    for token in written {
        let words =
            rest.iter().position(|word| word.end_ns == token.end_ns && word.start_ns >= token.start_ns).unwrap() + 1;
        let words = if rest[0].text == token.text { 1 } else { words };
        assert_eq!(token.start_ns, rest[0].start_ns);
        assert_eq!(token.end_ns, rest[words - 1].end_ns);
        let lowest = rest[..words].iter().map(|word| word.confidence).fold(1.0, f32::min);
        assert_eq!(token.confidence, lowest);
        let figures = token.text.contains(|c: char| c.is_ascii_digit());
        assert!(token.text == rest[0].text || figures, "{} for {}", token.text, joined(rest));
        rest = &rest[words..];
        spans.push(words);
    }
    assert!(rest.is_empty());
    spans
}

#[test]
fn nothing_is_lost_and_times_stay() {
    let mut random = Random(1);
    for _ in 0..6_000 {
        let said = utterance(&mut random, 60);
        spans(&said, &normalise(&said));
    }
}

#[test]
fn incremental_is_the_same_as_whole() {
    let mut random = Random(2);
    for _ in 0..6_000 {
        let said = utterance(&mut random, 80);
        assert_eq!(incremental(&said), normalise(&said), "{}", joined(&said));
    }
}

/// What was released never has to be taken back, whatever comes after it.
#[test]
fn what_is_released_is_right_for_every_continuation() {
    let mut random = Random(3);
    for _ in 0..1_000 {
        let begin = utterance(&mut random, 30);
        let (mut writer, mut out) = (Incremental::default(), Vec::new());
        begin.iter().for_each(|token| writer.push(token.clone(), &mut out));
        for _ in 0..10 {
            let mut said = begin.clone();
            said.extend(utterance(&mut random, 10));
            assert_eq!(normalise(&said)[..out.len()], out, "{}", joined(&said));
        }
    }
}

#[test]
fn words_that_are_no_number_are_not_held() {
    let (mut writer, mut out) = (Incremental::default(), Vec::new());
    for (at, token) in tokens("我们去看电影然后回家吃饭").into_iter().enumerate() {
        writer.push(token, &mut out);
        assert_eq!((out.len(), writer.held_start_ns()), (at + 1, None));
    }
    writer.push(tokens("二")[0].clone(), &mut out);
    assert_eq!(writer.held_start_ns(), Some(0));
}

/// The reading of a number (GB/T 15835 and the usual grammar): `liang` says 两 for 2 before 百 and above.
fn reading(value: u64, liang: bool) -> String {
    if value == 0 {
        return "零".into();
    }
    let digits = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
    let mut text = String::new();
    let mut gap = false;
    for (section_unit, name) in [(100_000_000, "亿"), (10_000, "万"), (1, "")] {
        let section = value / section_unit % 10_000;
        for (unit, unit_name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
            let digit = section / unit % 10;
            if digit == 0 {
                gap = true;
                continue;
            }
            if gap && !text.is_empty() {
                text.push('零');
            }
            gap = false;
            match digit {
                1 if unit == 10 && text.is_empty() => {}
                2 if liang && unit > 10 => text.push('两'),
                _ => text.push_str(digits[digit as usize]),
            }
            text.push_str(unit_name);
        }
        if section > 0 {
            text.push_str(name);
        }
    }
    text
}

/// The value of figures with 万 and 亿.
fn figures(text: &str) -> u64 {
    let (above, rest) = text.split_once('亿').unwrap_or(("", text));
    let (ten_thousands, rest) = rest.split_once('万').unwrap_or(("", rest));
    let value = |digits: &str| if digits.is_empty() { 0 } else { digits.parse().unwrap() };
    value(above) * 100_000_000 + value(ten_thousands) * 10_000 + value(rest)
}

#[test]
fn every_reading_gives_its_number() {
    let mut random = Random(4);
    for round in 0..6_000 {
        let mut value = random.next() % 10u64.pow(1 + round % 12);
        // Round numbers, and numbers with holes.
        for power in 0..12 {
            if random.below(3) == 0 {
                value -= value / 10u64.pow(power) % 10 * 10u64.pow(power);
            }
        }
        let value = value.max(10);
        let said = reading(value, random.below(2) == 0);
        let written = normalise(&tokens(&format!("有{said}吨")));
        assert_eq!(written.len(), 3, "{said}: {}", joined(&written));
        assert_eq!(figures(&written[1].text), value, "{said}");
    }
}

#[test]
fn a_last_unit_may_be_left_out() {
    for (count, (name, unit)) in (1..10).flat_map(|n| [("百", 100), ("千", 1000), ("万", 10_000)].map(|unit| (n, unit)))
    {
        for last in 1..10 {
            let said = format!("{}{name}{}", reading(count, false), reading(last, false));
            let written = joined(&normalise(&tokens(&format!("买{said}"))));
            // 二百五 is a word.
            let value = if said == "二百五" { said } else { (count * unit + last * unit / 10).to_string() };
            assert_eq!(written, format!("买{value}"));
        }
    }
}

#[test]
fn digits_percentages_fractions_and_decimals_round_trip() {
    let mut random = Random(5);
    let spell = |text: &str| text.chars().map(|c| reading(u64::from(c as u8 - b'0'), false)).collect::<String>();
    for _ in 0..2_000 {
        let (a, b) = (random.next() % 1000, 2 + random.next() % 98);
        let decimals = format!("{:0width$}", random.next() % 100, width = 1 + random.below(4));
        let phone = format!("13{:09}", random.next() % 1_000_000_000);
        for (said, written) in [
            (format!("有百分之{}的", reading(a, false)), format!("有{a}%的")),
            (format!("有百分之{}点{}的", reading(a, false), spell(&decimals)), format!("有{a}.{decimals}%的")),
            (format!("有{}点{}吨", reading(a, false), spell(&decimals)), format!("有{a}.{decimals}吨")),
            (format!("占{}分之{}吧", reading(b, false), reading(a, false)), format!("占{a}/{b}吧")),
            (format!("打{}吧", spell(&phone)), format!("打{phone}吧")),
            (format!("是负{}吧", reading(a, false)), format!("是-{a}吧")),
        ] {
            assert_eq!(joined(&normalise(&tokens(&said))), written, "{said}");
        }
    }
}

#[test]
fn every_day_and_minute_round_trips() {
    for month in 1..=12 {
        for day in 1..=31 {
            let said = format!("二零二六年{}月{}日", reading(month, false), reading(day, false));
            assert_eq!(joined(&normalise(&tokens(&said))), format!("2026年{month}月{day}日"));
        }
    }
    for hour in 0..24 {
        for minute in 1..60 {
            let (zero, padded) = if minute < 10 { ("零", format!("{minute:02}")) } else { ("", minute.to_string()) };
            let said = format!("下午{}点{zero}{}分", reading(hour, true), reading(minute, false));
            assert_eq!(joined(&normalise(&tokens(&said))), format!("下午{hour}点{padded}分"), "{said}");
        }
    }
}

/// A number longer than a decision looks stays as it is. Work is linear: a decision reads at most [`MAX_HELD`] tokens,
/// whatever they are, since with so many it never waits for more.
#[test]
fn a_decision_looks_at_a_bounded_number_of_tokens() {
    let long = tokens(&"一".repeat(50_000));
    assert_eq!(normalise(&long), long);
    assert_eq!(incremental(&long), long);
    let mut random = Random(6);
    for _ in 0..6_000 {
        let mut said = utterance(&mut random, MAX_HELD + 40);
        said.truncate(MAX_HELD);
        let (left, mut writer) = (Left::default(), Writer::default());
        let is_short = |window: Window| (grammar::decide(&window), window.is_short()).1;
        assert!(said.len() < MAX_HELD || !is_short(Window::new(&said, &left, false)), "{}", joined(&said));
        assert!(said.is_empty() || writer.step(&said, true, &mut Vec::new()) > 0);
    }
}

/// Never the first part of a number alone.
#[test]
fn a_number_is_written_whole_or_not_at_all() {
    for before in [
        "",
        "负",
        "负三点",
        "百分之",
        "百分之三点",
        "三点",
        "三分之",
        "九千九百九十九亿三分之",
        "第",
        "三块",
        "下午三点",
    ] {
        for digits in 10..60 {
            let written = normalise(&tokens(&format!("是{before}{}吧", "七".repeat(digits))));
            let figures = |token: &DisplayToken| token.text.contains(|c: char| c.is_ascii_digit());
            let broken = written
                .windows(2)
                .any(|pair| figures(&pair[0]) && pair[1].text == "七" || figures(&pair[1]) && pair[0].text == "七");
            assert!(!broken, "{}", joined(&written));
        }
    }
}

#[test]
fn spaces_are_those_of_the_detokeniser() {
    let said = tokens("iphone 十五 pro 有 g 三十 g 和 4");
    let written = normalise(&said);
    assert_eq!(joined(&written), "iphone 15 pro有g30g和4");
    let apart = normalise(&tokens("one two three 十五 4"));
    assert_eq!(joined(&apart), "123 15 4");
}
