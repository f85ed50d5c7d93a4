//! What the program has to tell, and to whom.

use gstparaformer::captions::Word;

use super::failure::Failure;

/// An utterance as it is known now. Times count from the program's time zero.
#[derive(Debug, Clone)]
pub struct Utterance {
    pub text: String,
    /// Nothing of it changes any more.
    pub is_final: bool,
    /// One Chinese character or one word each.
    pub words: Vec<Word>,
}

impl Utterance {
    /// Reads a message of the element. `zero_ns`: the program's time at the pipeline's running time 0.
    pub fn read(message: &gst::StructureRef, zero_ns: u64) -> Option<Self> {
        if message.name() != "paraformerasr" {
            return None;
        }
        let number = |structure: &gst::StructureRef, name: &str| structure.get::<u64>(name).ok();
        // Token times are stream times; the message has its start on both timelines.
        let (start_ns, running_ns) = (number(message, "start-time")?, number(message, "running-time")?);
        let time = |ns: u64| zero_ns.saturating_add(running_ns).saturating_add(ns).saturating_sub(start_ns);
        let text: String = message.get("text").ok()?;
        let tokens = message.get::<gst::ArrayRef>("tokens").ok()?;
        let (mut words, mut rest) = (Vec::with_capacity(tokens.as_slice().len()), text.as_str());
        for token in tokens.iter() {
            let token = token.get::<gst::Structure>().ok()?;
            let word: String = token.get("text").ok()?;
            let trimmed = rest.trim_start();
            words.push(Word {
                space_before: trimmed.len() < rest.len(),
                start_ns: time(number(&token, "start-time")?),
                end_ns: time(number(&token, "end-time")?),
                text: word.clone(),
            });
            rest = trimmed.strip_prefix(word.as_str()).unwrap_or(trimmed);
        }
        Some(Self { text, is_final: message.get("final").ok()?, words })
    }

    /// When its first word begins.
    pub fn start_ns(&self) -> u64 {
        self.words.first().map_or(0, |word| word.start_ns)
    }
}

/// How it stands with the stream.
#[derive(Debug, Clone)]
pub enum State {
    /// The stream is asked for; `attempt` counts from 1 since the last time it was there.
    Connecting { attempt: u32 },
    /// Sound comes.
    Live,
    /// The stream is lost, and will be asked for again.
    Waiting { failure: Failure, seconds: u64 },
    /// The program ends.
    Stopped,
}

/// What the program has to tell.
#[derive(Debug, Clone)]
pub enum News {
    State(State),
    /// What is being said, as far as it is known: replaces what was told of this utterance before.
    Growing(Utterance),
    /// What was said.
    Finished(Utterance),
    /// Something that the one who runs the program should know.
    Warning(String),
}

/// Somebody whom the program tells.
pub trait Output {
    /// At a time of the program.
    fn tell(&mut self, news: &News, now_ns: u64) -> Result<(), Failure>;

    /// Comes by several times a second.
    fn tick(&mut self, _now_ns: u64) -> Result<(), Failure> {
        Ok(())
    }
}

/// Hours, minutes, seconds and milliseconds, as WebVTT writes them.
pub fn clock(ns: u64) -> String {
    let ms = ns / 1_000_000;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}
