//! The text formats of captions: SubRip and WebVTT.

use std::fmt::Write;

use super::transcript::Caption;

/// A `.srt` file. Without captions it is empty.
pub fn srt(captions: &[Caption]) -> String {
    captions.iter().zip(1..).fold(String::new(), |mut text, (caption, number)| {
        let (start, end) = (clock(caption.start, ','), clock(caption.end, ','));
        let _ = write!(text, "{number}\n{start} --> {end}\n{}\n\n", caption.text);
        text
    })
}

/// A `.vtt` file. It is markup: `&`, `<` and `>` are escaped.
pub fn vtt(captions: &[Caption]) -> String {
    captions.iter().fold("WEBVTT\n\n".into(), |mut text, caption| {
        let words = caption.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = write!(text, "{} --> {}\n{words}\n\n", clock(caption.start, '.'), clock(caption.end, '.'));
        text
    })
}

/// Hours, minutes, seconds and ms.
pub fn clock(ms: u64, point: char) -> String {
    format!("{}{point}{:03}", hours(ms), ms % 1000)
}

/// Hours, minutes and seconds.
pub fn hours(ms: u64) -> String {
    let s = ms / 1000;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}
