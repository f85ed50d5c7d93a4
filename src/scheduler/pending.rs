//! The calls that wait for a network, and which of them are made together next.
//!
//! Calls of one kind cost less together than one after the other. A call may wait for others as long as its stream's
//! patience lasts, and no longer than until every stream that is at work has come: a lone stream waits for nobody. What
//! is due first goes first, and takes along those of its kind, the oldest before the others. Where several copies of a
//! network have nothing to do, they share what waits, for side by side they are faster than one with the threads of all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most calls that are made together: more gain little, and make all of them late.
pub const MAX_BATCH: usize = 32;
/// As many calls go together before another copy of the network gets some of them: fewer cost more each.
const FEW: usize = 8;
/// A stream that has made no call for so long is not at work: live streams make one for each stride.
const AT_WORK: Duration = Duration::from_millis(1500);

/// A call that waits.
#[derive(Debug)]
struct Waiting<J> {
    job: J,
    kind: Option<usize>,
    due: Instant,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<J> {
    /// These calls, together.
    Batch(Vec<J>),
    /// Nothing, for so long, or until a call comes.
    Wait(Option<Duration>),
}

/// The calls that wait.
#[derive(Debug)]
pub struct Pending<J> {
    waiting: VecDeque<Waiting<J>>,
    /// The streams, and when each made its last call.
    streams: Vec<(usize, Instant)>,
    /// Copies of the network that have nothing to do; the one that asks is one of them.
    idle: usize,
    /// Calls that are being made.
    running: usize,
    batches: u64,
    calls: u64,
}

impl<J> Default for Pending<J> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), streams: Vec::new(), idle: 1, running: 0, batches: 0, calls: 0 }
    }
}

impl<J> Pending<J> {
    /// Takes a call of a stream, that may wait for others of its kind, if it has one, for `patience`.
    pub fn push(&mut self, job: J, stream: usize, kind: Option<usize>, patience: Duration, now: Instant) {
        match self.streams.iter_mut().find(|(known, _)| *known == stream) {
            Some((_, last)) => *last = now,
            None => self.streams.push((stream, now)),
        }
        self.waiting.push_back(Waiting { job, kind, due: now + patience });
    }

    /// There is another copy of the network.
    pub fn begin(&mut self) {
        self.idle += 1;
    }

    /// So many calls have been made, together.
    pub fn done(&mut self, calls: usize) {
        self.running -= calls;
        self.idle += 1;
    }

    /// Forgets a stream that has ended.
    pub fn leave(&mut self, stream: usize) {
        self.streams.retain(|(known, _)| *known != stream);
    }

    /// What is to be done next.
    pub fn next(&mut self, now: Instant) -> Next<J> {
        self.streams.retain(|(_, last)| now.saturating_duration_since(*last) < AT_WORK);
        let Some(first) = self.waiting.iter().min_by_key(|waiting| waiting.due) else { return Next::Wait(None) };
        let (kind, due) = (first.kind, first.due);
        let is_chosen = |waiting: &Waiting<J>| waiting.kind == kind;
        let most = if kind.is_some() { MAX_BATCH } else { 1 };
        let together = self.waiting.iter().filter(|waiting| is_chosen(waiting)).count();
        let all_have_come = self.waiting.len() + self.running >= self.streams.len();
        if now < due && together < most && !all_have_come {
            return Next::Wait(Some(due - now));
        }
        let most = most.min(together.div_ceil(self.idle.max(1)).max(FEW));
        let mut batch = Vec::with_capacity(together.min(most));
        let mut rest = VecDeque::with_capacity(self.waiting.len());
        for waiting in self.waiting.drain(..) {
            if is_chosen(&waiting) && batch.len() < most {
                batch.push(waiting.job);
            } else {
                rest.push_back(waiting);
            }
        }
        self.waiting = rest;
        self.running += batch.len();
        self.idle = self.idle.saturating_sub(1);
        self.batches += 1;
        self.calls += batch.len() as u64;
        Next::Batch(batch)
    }

    /// Takes all calls that wait.
    pub fn take(&mut self) -> Vec<J> {
        self.waiting.drain(..).map(|waiting| waiting.job).collect()
    }

    /// How many calls were made together, on average.
    pub fn mean_batch(&self) -> f64 {
        if self.batches == 0 { 0.0 } else { self.calls as f64 / self.batches as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    struct Clock(Instant);

    impl Clock {
        fn at(&self, ms: u64) -> Instant {
            self.0 + Duration::from_millis(ms)
        }
    }

    fn set_up() -> (Pending<usize>, Clock) {
        (Pending::default(), Clock(Instant::now()))
    }

    #[test]
    fn a_lone_stream_waits_for_nobody() {
        let (mut pending, clock) = set_up();
        assert_eq!(pending.next(clock.at(0)), Next::Wait(None));
        for call in 0..5 {
            pending.push(call, 7, Some(1), PATIENCE, clock.at(600 * call as u64));
            assert_eq!(pending.next(clock.at(600 * call as u64)), Next::Batch(vec![call]));
            pending.done(1);
        }
    }

    #[test]
    fn a_stream_that_is_silent_or_gone_is_not_waited_for() {
        let (mut pending, clock) = set_up();
        for stream in 0..3 {
            pending.push(stream, stream, Some(1), PATIENCE, clock.at(0));
        }
        assert_eq!(pending.next(clock.at(0)), Next::Batch(vec![0, 1, 2]));
        pending.done(3);
        pending.push(3, 0, Some(1), PATIENCE, clock.at(600));
        assert_eq!(pending.next(clock.at(600)), Next::Wait(Some(PATIENCE)));
        pending.leave(1);
        assert_eq!(pending.next(clock.at(650)), Next::Wait(Some(PATIENCE / 2)));
        pending.leave(2);
        assert_eq!(pending.next(clock.at(650)), Next::Batch(vec![3]));
        pending.done(1);
        pending.push(4, 1, Some(1), PATIENCE, clock.at(700));
        pending.push(5, 0, Some(1), PATIENCE, clock.at(2250));
        assert_eq!(pending.next(clock.at(2250)), Next::Batch(vec![4, 5]));
    }

    #[test]
    fn nobody_waits_longer_than_his_patience() {
        let (mut pending, clock) = set_up();
        for stream in 0..4 {
            pending.push(stream, stream, Some(1), Duration::ZERO, clock.at(0));
        }
        assert_eq!(pending.next(clock.at(0)), Next::Batch(vec![0, 1, 2, 3]));
        pending.done(4);
        pending.push(10, 0, Some(1), PATIENCE, clock.at(100));
        pending.push(11, 1, Some(1), PATIENCE, clock.at(150));
        assert_eq!(pending.next(clock.at(160)), Next::Wait(Some(Duration::from_millis(40))));
        assert_eq!(pending.next(clock.at(200)), Next::Batch(vec![10, 11]));
        pending.done(2);
        // Who has none goes at once, and takes along who is of his kind.
        pending.push(12, 0, Some(1), PATIENCE, clock.at(300));
        pending.push(13, 1, Some(2), Duration::ZERO, clock.at(310));
        pending.push(14, 2, Some(2), PATIENCE, clock.at(310));
        assert_eq!(pending.next(clock.at(310)), Next::Batch(vec![13, 14]));
        assert_eq!(pending.next(clock.at(310)), Next::Wait(Some(Duration::from_millis(90))));
    }

    #[test]
    fn a_full_batch_goes_at_once_and_the_oldest_first() {
        let (mut pending, clock) = set_up();
        for stream in 0..MAX_BATCH + 3 {
            pending.push(stream, stream, Some(1), PATIENCE, clock.at(stream as u64 / 2));
        }
        assert_eq!(pending.next(clock.at(50)), Next::Batch((0..MAX_BATCH).collect()));
        pending.push(100, 100, None, PATIENCE, clock.at(51));
        pending.push(101, 101, None, PATIENCE, clock.at(51));
        let rest = (MAX_BATCH..MAX_BATCH + 3).collect();
        assert_eq!(pending.next(clock.at(120)), Next::Batch(rest));
        assert_eq!(pending.next(clock.at(151)), Next::Batch(vec![100]), "what has no kind goes alone");
        assert_eq!(pending.next(clock.at(151)), Next::Batch(vec![101]));
        assert_eq!(pending.mean_batch(), (MAX_BATCH + 3 + 2) as f64 / 4.0);
    }

    #[test]
    fn copies_that_have_nothing_to_do_share_what_waits() {
        let (mut pending, clock) = set_up();
        pending.begin();
        for stream in 0..20 {
            pending.push(stream, stream, Some(1), PATIENCE, clock.at(0));
        }
        assert_eq!(pending.next(clock.at(0)), Next::Batch((0..10).collect()));
        assert_eq!(pending.next(clock.at(0)), Next::Batch((10..20).collect()));
        pending.done(10);
        for stream in 0..10 {
            pending.push(stream, stream, Some(1), PATIENCE, clock.at(600));
        }
        pending.done(10);
        assert_eq!(pending.next(clock.at(600)), Next::Wait(Some(PATIENCE)));
        for stream in 10..20 {
            pending.push(stream, stream, Some(2), PATIENCE, clock.at(600));
        }
        // A few stay together.
        assert_eq!(pending.next(clock.at(600)), Next::Batch((0..FEW).collect()));
        assert_eq!(pending.next(clock.at(600)), Next::Batch((FEW..10).collect()));
    }

    /// Nobody is passed over for ever, however many others come.
    #[test]
    fn everybody_gets_his_turn_under_overload() {
        let (mut pending, clock) = set_up();
        let mut served = vec![0; 50];
        for stream in 0..50 {
            pending.push(stream, stream, Some(stream % 3), Duration::ZERO, clock.at(0));
        }
        for round in 0..500 {
            let Next::Batch(batch) = pending.next(clock.at(round)) else { panic!("round {round}") };
            for stream in batch {
                served[stream] += 1;
                pending.push(stream, stream, Some(stream % 3), Duration::ZERO, clock.at(round));
            }
        }
        let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
        // A kind with more streams than a batch takes gets a second batch for the rest, which takes others along.
        assert!(2 * least >= *most, "{served:?}");
    }
}
