//! What goes downstream and to the bus, in order: every time is set, none decreases, none overlaps.

/// One thing to hand on. Times are PTS, in ns.
#[derive(Debug)]
pub enum Outgoing {
    /// The caps are to be agreed on.
    Caps,
    /// An event as it is.
    Event(gst::Event),
    /// A segment, before the lateness is added.
    Segment(gst::Event),
    /// A text buffer.
    Text { text: String, start_ns: u64, end_ns: u64, discont: bool },
    /// There is no text from here to there.
    Gap { start_ns: u64, end_ns: u64 },
    /// An element message.
    Message(gst::Structure),
    /// Something that the user should know, and that stops nothing.
    Warning(String),
    /// The property `current-text`.
    CurrentText(String),
}

/// The least that a buffer lasts, where a late one had to move up.
const SHORTEST_NS: u64 = 40_000_000;

/// What is to be handed on, and the position up to which the timeline is told of.
#[derive(Debug, Default)]
pub struct Output {
    items: Vec<Outgoing>,
    position_ns: Option<u64>,
    discont: bool,
}

impl Output {
    /// Begins a timeline at `position_ns`.
    pub fn begin(&mut self, position_ns: u64) {
        self.position_ns = Some(position_ns);
        self.discont = true;
    }

    /// The next buffer does not follow from the one before.
    pub fn set_discont(&mut self) {
        self.discont = true;
    }

    /// Hands on anything but text and gaps.
    pub fn push(&mut self, item: Outgoing) {
        self.items.push(item);
    }

    /// A text from `start_ns` to `end_ns`; moved up to the position where it is late. What lies before it is a gap.
    pub fn text(&mut self, text: String, start_ns: u64, end_ns: u64) {
        let position_ns = self.position_ns.unwrap_or(start_ns);
        self.gap(start_ns);
        let start_ns = start_ns.max(position_ns);
        let end_ns = end_ns.max(start_ns.saturating_add(SHORTEST_NS)).min(u64::MAX - 1);
        self.items.push(Outgoing::Text { text, start_ns, end_ns, discont: std::mem::take(&mut self.discont) });
        self.position_ns = Some(end_ns);
    }

    /// There is no text up to `end_ns`.
    pub fn gap(&mut self, end_ns: u64) {
        let start_ns = *self.position_ns.get_or_insert(end_ns);
        if end_ns > start_ns {
            self.items.push(Outgoing::Gap { start_ns, end_ns });
            self.position_ns = Some(end_ns);
        }
    }

    /// Takes what is to be handed on.
    pub fn take(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.items)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_never_decrease_and_never_overlap() {
        let mut output = Output::default();
        output.begin(100);
        output.gap(100);
        output.text("a".into(), 200, 300_000_200);
        output.text("late".into(), 150, 180);
        output.gap(200);
        output.gap(400_000_000);
        let told: Vec<String> = output
            .take()
            .iter()
            .map(|item| match item {
                Outgoing::Text { text, start_ns, end_ns, discont } => format!("{text} {start_ns} {end_ns} {discont}"),
                Outgoing::Gap { start_ns, end_ns } => format!("gap {start_ns} {end_ns}"),
                other => format!("{other:?}"),
            })
            .collect();
        let expected =
            ["gap 100 200", "a 200 300000200 true", "late 300000200 340000200 false", "gap 340000200 400000000"];
        assert_eq!(told, expected);
    }
}
