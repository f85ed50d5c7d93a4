//! What is repaired and what is not.

use super::{Hotwords, Repair, Thresholds};
use crate::engine::DisplayToken;
use crate::engine::hypothesis::joined;

/// Tokens of 200 ms with one confidence; `|` is a pause of a second, and space parts tokens that are not one character.
fn tokens(text: &str, confidence: f32) -> Vec<DisplayToken> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    for (n, part) in text.split(' ').enumerate() {
        let mut rest = part;
        while let Some(first) = rest.chars().next() {
            let end = match first.is_ascii() && first != '|' {
                true => rest.find(|c: char| !c.is_ascii()).unwrap_or(rest.len()),
                false => first.len_utf8(),
            };
            let (token, after) = rest.split_at(end);
            let space_before = n > 0 && rest.len() == part.len() && first.is_ascii();
            rest = after;
            if token == "|" {
                at += 1_000_000_000;
                continue;
            }
            let (start_ns, end_ns) = (at, at + 200_000_000);
            tokens.push(DisplayToken { text: token.into(), space_before, start_ns, end_ns, confidence });
            at = end_ns;
        }
    }
    tokens
}

fn repaired(hotwords: &str, text: &str, confidence: f32) -> String {
    joined(&Repair::new(&Hotwords::parse_list(hotwords).unwrap()).repair(&tokens(text, confidence)))
}

#[test]
fn sure_text_is_repaired_where_it_sounds_the_same() {
    for (hotwords, text, expected) in [
        ("胜太路", "这边生态路就是", "这边胜太路就是"),
        ("科大讯飞", "科大训费的产品", "科大讯飞的产品"),
        ("阿里巴巴", "阿里八八", "阿里巴巴"),
        ("章伟民", "请张伟民来", "请章伟民来"),
        ("市银行", "是银航", "是银航"),
        ("农银行", "浓银航", "农银行"),
        // Two characters are like too many words.
        ("张珊", "请张山来", "请张山来"),
        // It sounds alike, not the same.
        ("张三丰", "张山峰", "张山峰"),
        // One is missing.
        ("张三丰", "张三", "张三"),
    ] {
        assert_eq!(repaired(hotwords, text, 0.95), expected, "{hotwords}: {text}");
    }
}

#[test]
fn doubtful_text_is_repaired_where_it_sounds_alike() {
    for (hotwords, text, expected) in [
        ("张珊", "请张山来", "请张珊来"),
        ("张珊", "请长闪来", "请张珊来"),
        ("陈玲", "叫陈林来", "叫陈玲来"),
        ("张三丰", "张山峰", "张三丰"),
        ("南京路", "兰金路", "兰金路"),
        ("南京东路", "兰金东路", "南京东路"),
        ("张珊", "请张三来", "请张三来"),
        ("蓝黄", "南方", "南方"),
        ("黄山", "方三", "方三"),
        ("天气", "电话", "电话"),
        // What every sentence has is no name.
        ("都市", "他们都是", "他们都是"),
        ("大禹", "大于它", "大于它"),
    ] {
        assert_eq!(repaired(hotwords, text, 0.5), expected, "{hotwords}: {text}");
    }
}

#[test]
fn words_are_repaired_in_case_and_parts() {
    for (hotwords, text, confidence, expected) in [
        ("GStreamer", "用gstreamer写", 0.9, "用GStreamer写"),
        ("GStreamer", "用g streamer写", 0.9, "用GStreamer写"),
        ("API", "我的a p i和api", 0.9, "我的API和API"),
        ("GitHub", "open git hub now", 0.9, "open GitHub now"),
        ("Wi-Fi", "连wifi吧", 0.9, "连Wi-Fi吧"),
        ("5G基站", "一个5 g机战", 0.9, "一个5G基站"),
        ("A股", "a古", 0.9, "a古"),
        ("A股", "a古", 0.1, "A股"),
        ("GStreamer", "a streamer", 0.5, "a streamer"),
        ("GStreamer", "use gstreamers", 0.9, "use gstreamers"),
        ("GStreamer", "use gstreamers", 0.5, "use GStreamer"),
        ("iPhone15", "iphone 16", 0.1, "iphone 16"),
        ("C++", "c", 0.1, "c"),
        ("GitHub", "git hub, ok", 0.9, "git hub, ok"),
    ] {
        assert_eq!(repaired(hotwords, text, confidence), expected, "{hotwords}: {text}");
    }
    let hotwords = Hotwords::parse_file("a", b"Visual Studio").unwrap();
    let repaired = Repair::new(&hotwords).repair(&tokens("use visual studio", 0.9));
    assert_eq!(joined(&repaired), "use Visual Studio");
    assert_eq!(repaired.len(), 3);
}

#[test]
fn the_longest_comes_first_then_the_nearest_then_the_first() {
    for (hotwords, text, expected) in [
        ("科大 科大讯飞 讯飞", "科大训费", "科大讯飞"),
        ("张珊山 张三山", "张三衫", "张三山"),
        ("达摩院 答魔院", "大魔院", "答魔院"),
        ("答摩院 达摩院", "搭摩院", "答摩院"),
        ("生态路 路口店", "声泰路口店", "生态路口店"),
        ("声太路 路口电", "声泰路口店", "声太路口店"),
    ] {
        assert_eq!(repaired(hotwords, text, 0.95), expected, "{hotwords}: {text}");
    }
}

#[test]
fn what_is_right_already_stays() {
    for (hotwords, text) in [
        ("生态路 胜太路", "这边生态路就是"),
        ("生态 胜太路", "这边生态路就是"),
        ("gstreamer GStreamer", "gstreamer"),
        ("态路", "生态路"),
    ] {
        assert_eq!(repaired(hotwords, text, 0.1), text, "{hotwords}: {text}");
    }
    // A longer one may be put around it.
    assert_eq!(repaired("科大 科大讯飞", "科大训费", 0.9), "科大讯飞");
}

#[test]
fn nothing_is_repaired_across_punctuation_or_a_pause() {
    for text in ["生态，路", "生，态路", "生态|路", "生|态路", "生态 x路", "生态 . 路"] {
        let before = tokens(text, 0.1);
        let repair = Repair::new(&Hotwords::parse_list("胜太路").unwrap());
        assert_eq!(repair.repair(&before), before, "{text}");
    }
    let apart = |pause_ms: u64| {
        let mut tokens = tokens("生态路", 0.9);
        tokens[2].start_ns = tokens[1].end_ns + pause_ms * 1_000_000;
        tokens[2].end_ns = tokens[2].start_ns + 1;
        joined(&Repair::new(&Hotwords::parse_list("胜太路").unwrap()).repair(&tokens))
    };
    assert_eq!((apart(500).as_str(), apart(501).as_str()), ("胜太路", "生态路"));
}

#[test]
fn times_and_confidences_are_kept() {
    let mut before = tokens("用g streamer在生态路", 0.9);
    before[1].confidence = 0.8;
    let after = Repair::new(&Hotwords::parse_list("GStreamer 胜太路").unwrap()).repair(&before);
    let texts: Vec<&str> = after.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(texts, ["用", "GStreamer", "在", "胜", "太", "路"]);
    assert_eq!((after[1].start_ns, after[1].end_ns, after[1].confidence), (before[1].start_ns, before[2].end_ns, 0.8));
    assert_eq!(after[0], before[0]);
    assert_eq!(after[2], before[3]);
    for (one, other) in after[3..].iter().zip(&before[4..]) {
        assert_eq!(*one, DisplayToken { text: one.text.clone(), ..other.clone() });
    }
}

#[test]
fn doubt_is_the_mean_of_the_stretch() {
    let mut mixed = tokens("请张山来", 1.0);
    let repair = Repair::new(&Hotwords::parse_list("张珊").unwrap());
    mixed[2].confidence = 0.41;
    assert_eq!(joined(&repair.repair(&mixed)), "请张山来");
    mixed[2].confidence = 0.39;
    assert_eq!(joined(&repair.repair(&mixed)), "请张珊来");
    mixed[2].confidence = f32::NAN;
    assert_eq!(joined(&repair.repair(&mixed)), "请张山来");
}

#[test]
fn thresholds_are_the_users() {
    let with = |thresholds| {
        let hotwords = Hotwords::parse_list("张珊").unwrap();
        joined(&Repair::with_thresholds(&hotwords, thresholds).repair(&tokens("张三张山", 0.6)))
    };
    let usual = Thresholds::default();
    assert_eq!(with(usual), "张三张珊");
    assert_eq!(with(Thresholds { max_cost: 30, ..usual }), "张珊张珊");
    assert_eq!(with(Thresholds { doubtful_confidence: 0.0, ..usual }), "张三张山");
    assert_eq!(with(Thresholds { doubtful_confidence: 0.0, min_sure_characters: 2, ..usual }), "张三张珊");
}
