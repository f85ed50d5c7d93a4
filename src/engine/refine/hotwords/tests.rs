//! What is repaired and what is not.

use super::{Hotwords, Repair};
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
        ("张珊", "请张山来", "请张山来"),
        ("章伟民", "请张伟民来", "请章伟民来"),
        ("市银行", "是银航", "市银行"),
        ("阿里巴巴", "阿里八八", "阿里巴巴"),
    ] {
        assert_eq!(repaired(hotwords, text, 0.95), expected, "{hotwords}: {text}");
    }
}

#[test]
fn doubtful_text_is_repaired_where_it_sounds_alike() {
    for (hotwords, text, expected) in [
        ("张珊", "请张三来", "请张珊来"),
        ("陈玲", "叫成林来", "叫陈玲来"),
        ("蓝黄", "南方", "南方"),
        ("黄山", "方三", "方三"),
        ("天气", "电话", "电话"),
    ] {
        assert_eq!(repaired(hotwords, text, 0.5), expected, "{hotwords}: {text}");
    }
}
