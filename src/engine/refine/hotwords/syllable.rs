//! The readings of a character, and how far apart two readings sound.
//!
//! The confusions are those that Chinese input methods offer as fuzzy pinyin, and the stops and affricates that differ in
//! aspiration alone. Costs are in hundredths of a syllable.

use pinyin::ToPinyinMulti;

/// What a different tone costs.
pub const TONE_COST: u32 = 10;

/// The longer ones first: the first that fits is the initial. `y` and `w` are spelt like initials.
const INITIALS: [&str; 23] = [
    "zh", "ch", "sh", "b", "p", "m", "f", "d", "t", "n", "l", "g", "k", "h", "j", "q", "x", "r", "z", "c", "s", "y",
    "w",
];

/// Initials that are confused, and what that costs. `f` and `h` are in [`rime_cost`], for they change the rime as well.
const CONFUSED_INITIALS: [(&str, &str, u32); 12] = [
    ("z", "zh", 30),
    ("c", "ch", 30),
    ("s", "sh", 30),
    ("l", "n", 30),
    ("l", "r", 50),
    ("b", "p", 50),
    ("d", "t", 50),
    ("g", "k", 50),
    ("j", "q", 50),
    ("c", "z", 50),
    ("ch", "zh", 50),
    ("f", "h", 30),
];

/// Rimes that are confused, and what that costs.
const CONFUSED_RIMES: [(&str, &str, u32); 5] =
    [("in", "ing", 20), ("en", "eng", 20), ("an", "ang", 30), ("uan", "uang", 30), ("ian", "iang", 40)];

/// Rimes after `h`, and those that sound like them after `f`.
const H_AND_F_RIMES: [(&str, &str); 7] =
    [("u", "u"), ("ua", "a"), ("uo", "o"), ("ui", "ei"), ("un", "en"), ("uan", "an"), ("uang", "ang")];

/// One reading: initial, rime, tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syllable {
    /// `zh`, or empty.
    initial: &'static str,
    /// `uang`, with `ü`.
    rime: &'static str,
    /// 1 to 4; 0: neutral.
    tone: u8,
}

impl Syllable {
    /// Splits a syllable written as `zhuang1`; the neutral tone has no figure.
    fn parse(text: &'static str) -> Self {
        let (letters, tone) = match text.as_bytes().last() {
            Some(figure @ b'1'..=b'4') => (&text[..text.len() - 1], figure - b'0'),
            _ => (text, 0),
        };
        let initial = INITIALS.into_iter().find(|&initial| letters.starts_with(initial)).unwrap_or("");
        Self { initial, rime: &letters[initial.len()..], tone }
    }

    /// What is equal for all syllables that [`cost`](Self::cost) can compare.
    pub fn class(self) -> (u8, &'static str) {
        let initial = match self.initial {
            "z" | "zh" | "c" | "ch" => b'z',
            "s" | "sh" => b's',
            "n" | "l" | "r" => b'l',
            "f" | "h" => b'f',
            "b" | "p" => b'b',
            "d" | "t" => b'd',
            "g" | "k" => b'g',
            "j" | "q" => b'j',
            other => other.bytes().next().unwrap_or(0),
        };
        let rime = match self.initial {
            "h" => H_AND_F_RIMES.iter().find(|(after_h, _)| *after_h == self.rime).map_or(self.rime, |pair| pair.1),
            _ => self.rime,
        };
        let rime = CONFUSED_RIMES.iter().find(|(_, other, _)| *other == rime).map_or(rime, |pair| pair.0);
        (initial, rime)
    }

    /// How far apart two syllables sound, less their tones; none where they are not confused.
    fn sound_cost(self, other: Self) -> Option<u32> {
        let initial = match self.initial == other.initial {
            true => 0,
            false => confusion(&CONFUSED_INITIALS, self.initial, other.initial)?,
        };
        let rime_after = |syllable: Self| match syllable.initial {
            "h" if initial > 0 => H_AND_F_RIMES.iter().find(|pair| pair.0 == syllable.rime).map(|pair| pair.1),
            _ => Some(syllable.rime),
        };
        let (mine, others) = (rime_after(self)?, rime_after(other)?);
        let rime = if mine == others { 0 } else { confusion(&CONFUSED_RIMES, mine, others)? };
        Some(initial + rime)
    }
}

/// How two readings differ. The order is by what weighs more: sounds, then tones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Difference {
    /// What the confused sounds cost.
    pub sounds: u32,
    /// How many tones differ.
    pub tones: u32,
}

impl Difference {
    /// In hundredths of a syllable.
    pub fn cost(self) -> u32 {
        self.sounds + TONE_COST * self.tones
    }

    /// Of the two together.
    pub fn plus(self, other: Self) -> Self {
        Self { sounds: self.sounds + other.sounds, tones: self.tones + other.tones }
    }
}

/// All readings of a character; none where it is not Chinese.
pub fn readings(character: char) -> Vec<Syllable> {
    let all = character.to_pinyin_multi().into_iter().flatten();
    all.map(|reading| Syllable::parse(reading.with_tone_num_end())).collect()
}

/// The least difference between a reading of one and a reading of the other; none where none are confused.
pub fn difference(some: &[Syllable], others: &[Syllable]) -> Option<Difference> {
    let pairs = some.iter().flat_map(|one| others.iter().map(move |other| (*one, *other)));
    pairs
        .filter_map(|(one, other)| {
            Some(Difference { sounds: one.sound_cost(other)?, tones: u32::from(one.tone != other.tone) })
        })
        .min_by_key(|difference| (difference.cost(), *difference))
}

fn confusion(table: &[(&str, &str, u32)], one: &str, other: &str) -> Option<u32> {
    let (one, other) = if one < other { (one, other) } else { (other, one) };
    table.iter().find(|(a, b, _)| (*a, *b) == (one, other)).map(|(_, _, cost)| *cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(one: char, other: char) -> Option<(u32, u32)> {
        difference(&readings(one), &readings(other)).map(|difference| (difference.sounds, difference.tones))
    }

    #[test]
    fn a_table_of_distances() {
        for (one, other, expected) in [
            ('张', '章', Some((0, 0))),
            ('生', '圣', Some((0, 1))),
            ('四', '是', Some((30, 0))),
            ('南', '兰', Some((30, 0))),
            ('林', '玲', Some((20, 0))),
            ('陈', '成', Some((20, 0))),
            ('身', '桑', None),
            ('三', '山', Some((30, 0))),
            ('三', '上', Some((60, 1))),
            ('花', '发', Some((30, 0))),
            ('黄', '放', Some((30, 1))),
            ('黄', '防', Some((30, 0))),
            ('航', '防', None),
            ('回', '肥', Some((30, 0))),
            ('虎', '府', Some((30, 0))),
            ('班', '盘', Some((50, 1))),
            ('热', '乐', Some((50, 0))),
            ('鱼', '雨', Some((0, 1))),
            ('绿', '路', None),
            ('女', '旅', Some((30, 0))),
            ('你', '好', None),
            ('元', '云', None),
            ('银', '行', None),
        ] {
            assert_eq!(between(one, other), expected, "{one} {other}");
            assert_eq!(between(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn any_reading_counts() {
        assert_eq!(between('行', '航'), Some((0, 0)));
        assert_eq!(between('行', '形'), Some((0, 0)));
        assert_eq!(between('长', '掌'), Some((0, 0)));
        assert_eq!(between('单', '善'), Some((0, 0)));
        assert_eq!(between('生', '胜'), Some((0, 0)));
        assert_eq!(readings('a'), []);
        assert_eq!(readings('。'), []);
    }

    #[test]
    fn what_can_be_compared_is_of_one_class() {
        let all: Vec<Syllable> = ('\u{4e00}'..'\u{9fff}').step_by(7).flat_map(readings).collect();
        let mut distinct: Vec<Syllable> = Vec::new();
        for syllable in all {
            if !distinct.iter().any(|known| (known.initial, known.rime) == (syllable.initial, syllable.rime)) {
                distinct.push(syllable);
            }
        }
        assert!(distinct.len() > 350, "{}", distinct.len());
        let mut compared = 0;
        for &one in &distinct {
            for &other in &distinct {
                let cost = one.sound_cost(other);
                assert_eq!(cost, other.sound_cost(one), "{one:?} {other:?}");
                assert_eq!(
                    cost == Some(0),
                    (one.initial, one.rime) == (other.initial, other.rime),
                    "{one:?} {other:?}"
                );
                if cost.is_some() {
                    compared += 1;
                    assert_eq!(one.class(), other.class(), "{one:?} {other:?}");
                }
            }
        }
        assert!(compared > distinct.len());
    }
}
