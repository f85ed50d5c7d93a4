//! The readings of a character, and how far apart two readings sound.
//!
//! The confusions are those that Chinese input methods offer as fuzzy pinyin, and the stops and affricates that differ
//! in aspiration alone. Costs are in hundredths of a syllable.

use std::collections::HashSet;
use std::sync::LazyLock;

use pinyin::ToPinyinMulti;

/// What a different tone costs.
const TONE_COST: u32 = 10;

/// The longer ones first: the first that fits is the initial. `y` and `w` are spelt like initials.
const INITIALS: [&str; 23] = [
    "zh", "ch", "sh", "b", "p", "m", "f", "d", "t", "n", "l", "g", "k", "h", "j", "q", "x", "r", "z", "c", "s", "y",
    "w",
];

/// Initials that are confused, and what that costs. For `f` and `h` see [`H_AND_F_RIMES`] too.
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

/// What a reading costs that is not usual: 提 is read shi in one old word.
const RARE_COST: u32 = 20;

/// The usual readings of characters beside the first of the dictionary, where they differ in more than the tone.
const USUAL_READINGS: &str = "\
    了liao 着zhao 着zhuo 地de 的di 行hang 会kuai 长chang 重chong 都du 还huan 没mo 说shui 觉jiao 乐yue \
    单shan 单chan 朝zhao 藏zang 曾zeng 查zha 差chai 差ci 传zhuan 弹tan 调tiao 度duo 恶wu 佛fo 给ji 盖ge \
    合ge 系ji 降xiang 角jue 校jiao 解xie 卡qia 壳qiao 六lu 露lou 绿lu 率shuai 模mu 脉mo 秘bi 弄long 朴piao \
    朴po 奇ji 强jiang 区ou 仇qiu 塞se 厦xia 什shi 省xing 石dan 食si 术zhu 属zhu 数shuo 宿xiu 提di 拓ta 尾yi \
    尉yu 吓he 巷hang 血xie 咽ye 叶xie 万mo 遗wei 员yun 择zhai 扎za 折she 粘nian 种chong 爪zhua 著zhuo 阿e \
    柏bo 伯bai 薄bo 剥bao 堡pu 便pian 泊bo 参shen 参cen 车ju 称chen 澄deng 臭xiu 畜xu 大dai 囤tun 番pan \
    否pi 龟qiu 龟jun 虹jiang 贾gu 劲jing 圈juan 嚼jiao 勒le 俩liang 陆liu 落lao 落la 埋man 娜nuo 那nei \
    哪nei 这zhei 泌bi 拗niu 炮bao 屏bing 曝bao 栖xi 稽qi 色shai 刹cha 杉sha 盛cheng 似si 熟shou 覃qin \
    洗xian 纤qian 吁yu 钥yue 轧zha 轧ga 颤zhan 幢zhuang 蕃bo 蚌beng 铅yan 隗wei 缪miao 缪miu 瞿ju 召shao \
    祭zhai 翟zhai 伽jia 伽qie 褚zhu 晟sheng 郗chi 莘xin 茜xi 桔jie 溪qi 呆ai 骠piao 歙xi 枞zong 侗tong \
    町ding 莞wan 浒xu 嘚dei 得dei 呢ni 咯lo 咳hai 沈chen 抹ma 摩ma 牟mu 疟yao 削xiao 鹄hu 氏zhi 尿sui \
    溺niao 迫pai 烙luo 络lao 雀qiao 约yao 蛤ge 芥gai 冯ping 夹ga 乾gan 驮duo 魄tuo";

/// [`USUAL_READINGS`] as pairs.
static USUAL: LazyLock<HashSet<(char, &str)>> = LazyLock::new(|| {
    let pair = |entry: &'static str| Some((entry.chars().next()?, entry.trim_start_matches(|c: char| !c.is_ascii())));
    USUAL_READINGS.split(' ').filter_map(pair).collect()
});

/// One reading: initial, rime, tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syllable {
    /// Whether it is not a usual reading of its character.
    rare: bool,
    /// `zhuang`: initial and rime.
    letters: &'static str,
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
        Self { initial, rime: &letters[initial.len()..], tone, letters, rare: false }
    }

    /// What is equal for all syllables that [`difference`] can compare.
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

/// How two readings, or two words, differ. The order is by what weighs more: sounds, then tones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Difference {
    /// What the confused sounds cost, and all else that is not a tone.
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
    let mut all: Vec<Syllable> = all.map(|reading| Syllable::parse(reading.with_tone_num_end())).collect();
    let Some(first) = all.first().copied() else { return all };
    for reading in &mut all {
        reading.rare = reading.letters != first.letters && !USUAL.contains(&(character, reading.letters));
    }
    all
}

/// The least difference between a reading of one and a reading of the other; none where none are confused.
pub fn difference(some: &[Syllable], others: &[Syllable]) -> Option<Difference> {
    let pairs = some.iter().flat_map(|one| others.iter().map(move |other| (*one, *other)));
    pairs
        .filter_map(|(one, other)| {
            let rare = RARE_COST * (u32::from(one.rare) + u32::from(other.rare));
            Some(Difference { sounds: one.sound_cost(other)? + rare, tones: u32::from(one.tone != other.tone) })
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
            ('铝', '鲁', None),
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
        assert_eq!(between('提', '实'), Some((20, 0)));
        assert_eq!(readings('a'), []);
        assert_eq!(readings('。'), []);
    }

    #[test]
    fn every_usual_reading_is_one() {
        for &(character, letters) in USUAL.iter() {
            let all = readings(character);
            assert!(all.iter().skip(1).any(|one| one.letters == letters && !one.rare), "{character}{letters}");
            assert_ne!(all[0].letters, letters, "{character} is read {letters} first");
        }
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
