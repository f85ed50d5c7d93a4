//! Where results come in that a stream does not wait for, one by one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::slot::{Cancel, Canceller};

/// Results of numbered work, in the order in which they come.
#[derive(Debug)]
pub struct Mailbox<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    results: VecDeque<(u64, Option<T>)>,
    /// Nobody wants the results of work with lower numbers.
    wanted_from: u64,
    cancelled: bool,
}

/// Owes the result of one piece of work. Dropped without one, it says so.
#[derive(Debug)]
pub struct Reply<T> {
    mailbox: Arc<Mailbox<T>>,
    number: u64,
    result: Option<T>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        let state = State { results: VecDeque::new(), wanted_from: 0, cancelled: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T> Mailbox<T> {
    /// What the one needs who does piece of work `number`.
    pub fn reply(self: &Arc<Self>, number: u64) -> Reply<T> {
        Reply { mailbox: self.clone(), number, result: None }
    }

    /// The next result, and the number of its work; the result is nothing where the work was not done.
    pub fn take(&self) -> Option<(u64, Option<T>)> {
        self.lock().results.pop_front()
    }

    /// Waits until there is a result, to `until` at the latest. It is over at once where waiting is
    /// [broken off](Self::canceller); says whether it may go on.
    pub fn wait(&self, until: Instant) -> bool {
        let mut state = self.lock();
        while state.results.is_empty() && !state.cancelled {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.cancelled
    }

    /// Nobody wants the results of work before `number`.
    pub fn forget_before(&self, number: u64) {
        let mut state = self.lock();
        state.wanted_from = state.wanted_from.max(number);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Mailbox<T> {
    /// Breaks off the wait for results.
    pub fn canceller(self: &Arc<Self>) -> Canceller {
        Canceller::of(self.clone())
    }
}

impl<T: Send> Cancel for Mailbox<T> {
    fn cancel(&self) {
        self.lock().cancelled = true;
        self.changed.notify_all();
    }

    fn resume(&self) {
        self.lock().cancelled = false;
    }
}

impl<T> Reply<T> {
    /// Whether the result is still wanted.
    pub fn is_wanted(&self) -> bool {
        self.number >= self.mailbox.lock().wanted_from
    }

    /// Hands the result over; without one, the work was broken off.
    pub fn send(mut self, result: Option<T>) {
        self.result = result;
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.mailbox.lock().results.push_back((self.number, self.result.take()));
        self.mailbox.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_piece_of_work_has_an_answer() {
        let mailbox = Arc::new(Mailbox::default());
        let (first, second) = (mailbox.reply(0), mailbox.reply(1));
        assert_eq!(mailbox.take(), None);
        thread::scope(|scope| {
            scope.spawn(|| first.send(Some("done")));
            assert!(mailbox.wait(Instant::now() + Duration::from_secs(30)));
        });
        assert_eq!(mailbox.take(), Some((0, Some("done"))));
        drop(second);
        assert_eq!(mailbox.take(), Some((1, None)));
    }

    #[test]
    fn a_wait_can_be_broken_off() {
        let mailbox: Arc<Mailbox<()>> = Arc::default();
        let reply = mailbox.reply(7);
        thread::scope(|scope| {
            let canceller = mailbox.canceller();
            scope.spawn(move || canceller.cancel());
            assert!(!mailbox.wait(Instant::now() + Duration::from_secs(30)));
        });
        mailbox.canceller().resume();
        assert!(mailbox.wait(Instant::now()));
        assert!(reply.is_wanted());
        mailbox.forget_before(8);
        assert!(!reply.is_wanted());
    }
}
