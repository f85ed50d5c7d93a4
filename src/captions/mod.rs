//! Results to captions: where a caption begins and ends, how its lines break, how long it stays.
//!
//! Display tokens ([`Word`]) go in, in the order they are said; captions come out. Pure: no clock, no threads, no
//! environment. All times are nanoseconds on one timeline, the pipeline's PTS.
//!
//! - [`FinalCaptions`]: each caption once, finished, with its times: for files, muxers and translation.
//! - [`ProgressiveCaption`]: the caption as it grows, one text for each chunk: for overlays.
//! - [`break_lines`]: the lines of a caption.
//!
//! Widths and speeds count full-width characters, as broadcasters of Chinese do: one Chinese character is 1, one
//! ASCII character is a half. The 6 characters before a punctuation mark may end a caption, and the reading speed,
//! leave spaces and punctuation out.

mod finals;
#[cfg(test)]
mod laws;
mod lines;
mod marks;
mod open;
mod progressive;

pub use finals::FinalCaptions;
pub use lines::break_lines;
pub use progressive::ProgressiveCaption;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// The least that a final caption is shown, whatever follows it: one picture at 25 a second. Less than the 60 ms
/// frame in which at most one token begins, so captions that must move up for it do not fall behind the speech.
const SHORTEST_NS: u64 = 40 * NS_PER_MS;

/// A display token: one Chinese character, one whole word, or punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text. White space inside is shown as one space; a word without any text is ignored.
    pub text: String,
    /// Whether a space separates it from the word before, where the two stand on one line of one caption.
    pub space_before: bool,
    /// When it begins, ns.
    pub start_ns: u64,
    /// When it ends, ns; taken as `start_ns` where it is earlier.
    pub end_ns: u64,
}

/// A finished caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// Its lines, joined by one `\n`: none is empty, none has a space at its ends.
    pub text: String,
    /// When it appears, ns; never before the end of the caption before.
    pub start_ns: u64,
    /// When it goes, ns; always after `start_ns`.
    pub end_ns: u64,
}

/// The shape of a caption. The defaults are broadcast practice for Chinese.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Width of a line, full-width characters; 0 is taken as 1.
    pub max_line_chars: u32,
    /// Lines of a caption; 0 is taken as 1. Only a single word longer than all of them has more.
    pub max_lines: u32,
    /// Longest time a caption is shown, ms; less than 40 is taken as 40. It wins over the minimum and the speed.
    pub max_duration_ms: u32,
    /// Shortest time a caption is shown, ms, unless the next caption cuts it.
    pub min_duration_ms: u32,
    /// Fastest reading asked of the viewer, full-width characters a second; 0 is no limit.
    pub max_reading_speed: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { max_line_chars: 16, max_lines: 2, max_duration_ms: 7000, min_duration_ms: 833, max_reading_speed: 9 }
    }
}

impl Shape {
    /// Whether a text takes no more lines than a caption has.
    fn holds(&self, text: &str) -> bool {
        let max_lines = self.max_lines.max(1) as usize;
        break_lines(text, self.max_line_chars).take(max_lines.saturating_add(1)).count() <= max_lines
    }

    /// When a caption that begins at `start_ns` must be gone, ns.
    fn latest_end_ns(&self, start_ns: u64) -> u64 {
        start_ns.saturating_add((u64::from(self.max_duration_ms) * NS_PER_MS).max(SHORTEST_NS))
    }

    /// How long a text is to be shown at least, ns, by the minimum duration and by the reading speed.
    fn least_duration_ns(&self, text: &str) -> u64 {
        let half_chars = marks::half_chars(text) as u64;
        let reading_ns = (half_chars * NS_PER_S).checked_div(2 * u64::from(self.max_reading_speed)).unwrap_or(0);
        reading_ns.max(u64::from(self.min_duration_ms) * NS_PER_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_shape_is_broadcast_practice() {
        let shape = Shape::default();
        assert_eq!((shape.max_line_chars, shape.max_lines), (16, 2));
        assert_eq!((shape.max_duration_ms, shape.min_duration_ms, shape.max_reading_speed), (7000, 833, 9));
    }

    #[test]
    fn least_duration_is_the_minimum_or_the_reading_time() {
        let shape = Shape::default();
        assert_eq!(shape.least_duration_ns("你好"), 833_000_000);
        assert_eq!(shape.least_duration_ns("一二三四五六七八九，"), 1_000_000_000);
        assert_eq!(shape.least_duration_ns("eighteen letters okay"), 1_055_555_555); // 19 letters: 9.5 characters
        let no_limit = Shape { max_reading_speed: 0, ..shape };
        assert_eq!(no_limit.least_duration_ns("一二三四五六七八九十"), 833_000_000);
    }

    #[test]
    fn zeros_are_taken_as_the_least_that_works() {
        let shape = Shape { max_line_chars: 0, max_lines: 0, max_duration_ms: 0, ..Shape::default() };
        assert!(shape.holds("好"));
        assert!(!shape.holds("你好"));
        assert_eq!(shape.latest_end_ns(5), 40_000_005);
        assert_eq!(shape.latest_end_ns(u64::MAX - 1), u64::MAX);
    }
}
