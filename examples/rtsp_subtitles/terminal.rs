//! Captions on the terminal: finished lines stay, the one that grows is rewritten in place.

use std::io::Write;

use console::Term;
use unicode_width::UnicodeWidthChar;

use super::failure::Failure;
use super::news::{News, Output, State, Utterance, clock};

/// Where captions go: standard output; what else there is to say goes to standard error.
pub struct Terminal {
    out: Term,
    /// What the stream is called.
    name: String,
    /// Where standard output is no terminal: a line for each change of the text too.
    growing_lines: bool,
    is_growing: bool,
}

impl Terminal {
    pub fn new(name: String, growing_lines: bool) -> Self {
        Self { out: Term::stdout(), name, growing_lines, is_growing: false }
    }

    /// Takes the growing line away, so that others can be written.
    fn clear(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.is_growing) {
            self.out.clear_line()?;
        }
        Ok(())
    }

    fn grow(&mut self, utterance: &Utterance) -> std::io::Result<()> {
        if self.out.is_term() {
            self.clear()?;
            self.is_growing = true;
            let width = usize::from(self.out.size().1);
            self.out.write_str(&last_part(&utterance.text, width.saturating_sub(1)))?;
            return self.out.flush();
        }
        if self.growing_lines {
            self.out.write_line(&format!("{}  {} ...", clock(utterance.start_ns()), utterance.text))?;
        }
        Ok(())
    }

    fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.clear()?;
        // A program that nobody listens to any more goes on.
        let _ = writeln!(std::io::stderr(), "rtsp_subtitles: {text}");
        Ok(())
    }

    fn show(&mut self, news: &News) -> std::io::Result<()> {
        match news {
            News::Growing(utterance) => self.grow(utterance),
            News::Finished(utterance) => {
                self.clear()?;
                self.out.write_line(&format!("{}  {}", clock(utterance.start_ns()), utterance.text))?;
                self.out.flush()
            }
            News::State(State::Connecting { attempt: 1 }) => self.say(&format!("connecting to {}", self.name.clone())),
            News::State(State::Connecting { .. } | State::Stopped) => Ok(()),
            News::State(State::Live) => self.say("live"),
            News::State(State::Waiting { failure, seconds }) => {
                self.say(&format!("{failure}\nrtsp_subtitles: trying again in {seconds} s"))
            }
            News::Warning(text) => self.say(&format!("warning: {text}")),
        }
    }
}

impl Output for Terminal {
    fn tell(&mut self, news: &News, _now_ns: u64) -> Result<(), Failure> {
        // Who closes the terminal may still want the file and the page.
        let _ = self.show(news);
        Ok(())
    }
}

/// As much of the end of a text as `width` columns hold.
fn last_part(text: &str, width: usize) -> String {
    let mut left = width;
    let fits = |c: &char| {
        let needed = c.width().unwrap_or(0);
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    };
    let taken: usize = text.chars().rev().take_while(fits).map(char::len_utf8).sum();
    text[text.len() - taken..].to_owned()
}
